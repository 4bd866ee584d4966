"""The names in the model registry."""

CHAMPION = "champion"
CHALLENGER = "challenger"


def registered_model_name(model_name: str, dataset_name: str) -> str:
    """Return `model_name`, or by default a name of the data set's own, so that no two data sets share a champion."""
    return model_name or f"{dataset_name}-cnn"
