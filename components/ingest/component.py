"""The `ingest` step on Kubeflow."""

from kfp import dsl

from components.common.container_image import BASE_IMAGE


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def ingest(
    run_id: str,
    run_name: str,
    data: str,
    recipe: str,
    trials: int,
    options: dict,
    gpu_count: str,
    plan: dsl.Output[dsl.Artifact],
    raw: dsl.Output[dsl.Dataset],
) -> None:
    """Check what was asked for, make it the plan of the run, and collect the data as idx files.

    Args:
        run_id: Kubeflow's id of this pipeline run.
        run_name: Kubeflow's name of this pipeline run.
        data: "mnist", "digits", or the path or URI of other data.
        recipe: Named configuration to start from.
        trials: Configurations to try, the baseline included.
        options: Further options of the plan by dotted name.
        gpu_count: GPUs for each training and search task.
        plan: Directory with run.json, the plan of the run.
        raw: Directory with the idx files and source.json.
    """
    from pathlib import Path

    from components.ingest.step import ingest_step

    info = ingest_step(
        {"data.source": data, "recipe": recipe, "search.trials": trials},
        options,
        run_id=run_id,
        run_name=run_name,
        gpu_count=gpu_count,
        plan_target=Path(plan.path),
        raw_target=Path(raw.path),
    )
    raw.metadata["dataset"] = info.name
    raw.metadata["digest"] = info.digest
