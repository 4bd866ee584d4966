"""The `tune` step on Kubeflow: three tasks, of which the search runs once per worker."""

from kfp import dsl

from components.common.container_image import BASE_IMAGE


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def open_study(plan: dsl.Input[dsl.Artifact], baseline: dsl.Input[dsl.Model]) -> list:
    """Create the shared study, with the baseline as its first trial and the others waiting.

    Args:
        plan: The plan of the run.
        baseline: The trained baseline.
    """
    from pathlib import Path

    from components.common.plan.run import RunPlan
    from components.tune.step import open_study_step

    return open_study_step(RunPlan.load(Path(plan.path)), Path(baseline.path))


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def search(
    plan: dsl.Input[dsl.Artifact],
    development: dsl.Input[dsl.Dataset],
    baseline: dsl.Input[dsl.Model],
    worker: str,  # noqa: ARG001  # makes the task of each worker another one
    gpu_count: str,  # noqa: ARG001  # kfp hands on to a loop only what a task takes as an argument
    gpu_resource: str,  # noqa: ARG001
) -> int:
    """Work on the search until it is over; return how many trainings this worker did.

    Args:
        plan: The plan of the run.
        development: Training and validation split.
        baseline: The trained baseline.
        worker: "1/2" is the first of two.
        gpu_count: GPUs that the task asks for.
        gpu_resource: Kubernetes resource name of the GPUs.
    """
    from pathlib import Path

    from components.common.plan.run import RunPlan
    from components.tune.step import search_step

    return search_step(RunPlan.load(Path(plan.path)), Path(development.path), Path(baseline.path))


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def choose(
    plan: dsl.Input[dsl.Artifact],
    development: dsl.Input[dsl.Dataset],
    baseline: dsl.Input[dsl.Model],
    model: dsl.Output[dsl.Model],
    configuration: dsl.Output[dsl.Artifact],
    page: dsl.Output[dsl.HTML],
    metrics: dsl.Output[dsl.Metrics],
) -> str:
    """Choose the best configuration, hand its model on, and return the outcome in a sentence.

    Args:
        plan: The plan of the run.
        development: Training and validation split.
        baseline: The trained baseline.
        model: The chosen model, which is the baseline where that is kept; further trainings below repeats/.
        configuration: The best configuration as JSON.
        page: History, importance and parallel coordinates of the search.
        metrics: Best validation accuracy and number of trials.
    """
    from pathlib import Path

    from components.common.plan.run import RunPlan
    from components.tune.step import choose_step

    choice = choose_step(
        RunPlan.load(Path(plan.path)),
        Path(development.path),
        Path(baseline.path),
        target=Path(model.path),
        configuration=Path(configuration.path),
        page=Path(page.path),
    )
    model.metadata["trial"] = choice.trial
    metrics.log_metric("validation_accuracy", choice.validation_accuracy)
    metrics.log_metric("trials", choice.trials)
    return choice.sentence()
