"""The `train` step on Kubeflow."""

from kfp import dsl

from components.common.container_image import BASE_IMAGE


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def train(
    development: dsl.Input[dsl.Dataset],
    pipeline_run_id: str,
    step: str,
    recipe: str,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    seeds: int,
    overrides: str,
    gpu_count: str,
    gpu_resource: str,
    model: dsl.Output[dsl.Model],
    metrics: dsl.Output[dsl.Metrics],
) -> None:
    """Train the CNN of a recipe.

    Args:
        development: Training and validation split.
        pipeline_run_id: Kubeflow's id of this pipeline run.
        step: Name of this training within the pipeline.
        recipe: Named configuration to start from.
        epochs: Passes over the training split; 0 keeps the recipe's.
        batch_size: Images a step; 0 keeps the recipe's.
        learning_rate: Peak learning rate; 0 keeps the recipe's.
        seed: Seeds initialization, shuffling, dropout and augmentation.
        seeds: Trainings, each with another seed; the first is the model, the others tell how much a seed matters.
        overrides: Further differences from the recipe, as a JSON object.
        gpu_count: GPUs that this task asked for; the step refuses to train without them.
        gpu_resource: Kubernetes resource name that stands for them.
        model: Directory with model.keras and training.json; further trainings below repeats/.
        metrics: Validation accuracy and loss, and the speed.
    """
    from pathlib import Path

    from components.train.step import train_step

    options = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "seed": seed}
    training = train_step(
        Path(development.path),
        pipeline_run_id,
        step,
        recipe,
        options,
        overrides,
        gpu_count,
        gpu_resource,
        Path(model.path),
        seeds,
    )
    model.metadata["weights_digest"] = training.weights_digest
    model.metadata["dataset_digest"] = training.dataset_digest
    metrics.log_metric("validation_accuracy", training.validation_accuracy)
    metrics.log_metric("validation_loss", training.validation_loss)
    metrics.log_metric("images_per_second", training.images_per_second)
