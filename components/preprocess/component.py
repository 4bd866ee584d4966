"""The `preprocess` step on Kubeflow."""

from kfp import dsl

from components.common.container_image import BASE_IMAGE


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def preprocess(
    raw: dsl.Input[dsl.Dataset],
    pipeline_run_id: str,
    split_seed: int,
    stratify: bool,
    fraction: float,
    development: dsl.Output[dsl.Dataset],
    test: dsl.Output[dsl.Dataset],
) -> None:
    """Split the data into training, validation and test.

    Args:
        raw: Directory with the idx files.
        pipeline_run_id: Kubeflow's id of this pipeline run.
        split_seed: Seed of the split into training and validation.
        stratify: Keep the class balance in the validation split.
        fraction: Part of the training data to use, above 0 and at most 1.
        development: Training and validation split, validation report and a figure of samples.
        test: Test split; only the evaluation is given it.
    """
    from pathlib import Path

    from components.preprocess.step import preprocess_step

    result = preprocess_step(
        Path(raw.path),
        pipeline_run_id,
        split_seed,
        stratify,
        fraction,
        Path(development.path),
        Path(test.path),
    )
    development.metadata["digest"] = result.development.digest
    test.metadata["digest"] = result.test.digest
