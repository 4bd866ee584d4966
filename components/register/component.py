"""The `register` step on Kubeflow, the check before training, and the exit handler."""

from kfp import dsl

from components.common.container_image import BASE_IMAGE


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def check_changes(plan: dsl.Input[dsl.Artifact], development: dsl.Input[dsl.Dataset]) -> str:
    """Return "train", or "skip" where the champion was made of the same data, code and plan.

    Args:
        plan: The plan of the run.
        development: Training and validation split.
    """
    from pathlib import Path

    from components.common.plan.run import RunPlan
    from components.register.check_step import check_changes_step

    return check_changes_step(RunPlan.load(Path(plan.path)), Path(development.path))


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def register(
    plan: dsl.Input[dsl.Artifact],
    candidate: dsl.Input[dsl.Model],
    evaluation: dsl.Input[dsl.Artifact],
    judgement_digest: str,
    registered: dsl.Output[dsl.Model],
) -> None:
    """Register the candidate as a new version, and make it champion.

    Args:
        plan: The plan of the run.
        candidate: The model to register.
        evaluation: Directory with judgement.json.
        judgement_digest: SHA-256 of that file, as `evaluate` returned it.
        registered: Names the version in its metadata.
    """
    from pathlib import Path

    from components.common.plan.run import RunPlan
    from components.register.step import register_step

    registration = register_step(
        RunPlan.load(Path(plan.path)),
        candidate=Path(candidate.path),
        evaluation=Path(evaluation.path),
        judgement_digest=judgement_digest,
    )
    registered.metadata["name"] = registration.name
    registered.metadata["version"] = registration.version
    registered.metadata["uri"] = registration.uri
    Path(registered.path).write_text(registration.uri)


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def close_run(run_id: str, status: dsl.PipelineTaskFinalStatus) -> None:
    """Close the run in MLflow with the status that the pipeline ended with.

    Args:
        run_id: Kubeflow's id of this pipeline run.
        status: How the pipeline ended.
    """
    from components.register.step import close_run_step

    close_run_step(run_id, status.state, status.error_message or "")
