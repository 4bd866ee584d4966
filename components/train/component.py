"""The `train` step on Kubeflow."""

from kfp import dsl

from components.common.container_image import BASE_IMAGE


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def train(
    plan: dsl.Input[dsl.Artifact],
    development: dsl.Input[dsl.Dataset],
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
) -> None:
    """Train the baseline: the CNN of the plan.

    Args:
        plan: The plan of the run.
        development: Training and validation split.
        model: Directory with model.keras and training.json.
        metrics: Validation accuracy and loss, and the speed.
    """
    from pathlib import Path

    from components.common.plan.run import RunPlan
    from components.train.step import train_step

    training = train_step(RunPlan.load(Path(plan.path)), Path(development.path), Path(model.path))
    model.metadata["weights_digest"] = training.weights_digest
    model.metadata["dataset_digest"] = training.dataset.digest
    metrics.log_metric("validation_accuracy", training.validation_accuracy)
    metrics.log_metric("validation_loss", training.validation_loss)
    metrics.log_metric("images_per_second", training.images_per_second)
