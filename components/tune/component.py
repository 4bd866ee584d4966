"""The `tune` step on Kubeflow: three tasks, of which the search runs once per worker."""

from kfp import dsl

from components.common.container_image import BASE_IMAGE


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def open_study(
    baseline: dsl.Input[dsl.Model],
    pipeline_run_id: str,
    trials: int,
    tuning_workers: int,
    tuning_seeds: int,
    seed: int,
    search_space: dict,
) -> list:
    """Create the shared study, with the baseline as its first trial and the others waiting.

    Args:
        baseline: The trained baseline.
        pipeline_run_id: Kubeflow's id of this pipeline run.
        trials: Configurations to try in all, the baseline included.
        tuning_workers: Workers that share the trials.
        tuning_seeds: Trainings of each finalist.
        seed: Seeds the choice of configurations.
        search_space: Options and the values to try; empty for the default.
    """
    from pathlib import Path

    from components.tune.step import open_study_step

    return open_study_step(
        Path(baseline.path), pipeline_run_id, trials, tuning_workers, tuning_seeds, seed, search_space
    )


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def search(
    development: dsl.Input[dsl.Dataset],
    baseline: dsl.Input[dsl.Model],
    pipeline_run_id: str,
    worker: str,  # noqa: ARG001  # tells the workers' tasks apart
    gpu_count: str,
    gpu_resource: str,
) -> int:
    """Work on the search until it is over; return how many trainings this worker did.

    Args:
        development: Training and validation split.
        baseline: The trained baseline.
        pipeline_run_id: Kubeflow's id of this pipeline run.
        worker: "1/2" is the first of two.
        gpu_count: GPUs that this task asked for; the step refuses to train without them.
        gpu_resource: Kubernetes resource name that stands for them.
    """
    from pathlib import Path

    from components.tune.step import search_step

    return search_step(Path(development.path), Path(baseline.path), pipeline_run_id, gpu_count, gpu_resource)


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def choose(
    baseline: dsl.Input[dsl.Model],
    pipeline_run_id: str,
    trials_by_worker: list,  # noqa: ARG001  # makes this task wait for every worker
    configuration: dsl.Output[dsl.Artifact],
    page: dsl.Output[dsl.HTML],
    metrics: dsl.Output[dsl.Metrics],
) -> str:
    """Choose the best configuration, and return its differences from the baseline as JSON.

    Args:
        baseline: The trained baseline.
        pipeline_run_id: Kubeflow's id of this pipeline run.
        trials_by_worker: What the workers ran; this task waits for all of them.
        configuration: The best configuration as JSON.
        page: History, importance and parallel coordinates of the search.
        metrics: Best validation accuracy and number of trials.
    """
    import json
    from pathlib import Path

    from components.tune.step import choose_step

    choice = choose_step(Path(baseline.path), pipeline_run_id, Path(configuration.path), Path(page.path))
    metrics.log_metric("validation_accuracy", choice.validation_accuracy)
    metrics.log_metric("trials", choice.trials)
    return json.dumps(choice.overrides)
