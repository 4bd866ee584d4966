"""The `register` step on Kubeflow, and the exit handler."""

from kfp import dsl

from components.common.image import BASE_IMAGE


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def register(
    candidate: dsl.Input[dsl.Model],
    evaluation: dsl.Input[dsl.Artifact],
    pipeline_run_id: str,
    model_name: str,
    registered: dsl.Output[dsl.Model],
) -> None:
    """Register the candidate as a new version, and make it champion.

    Args:
        candidate: The model to register.
        evaluation: Directory with evaluation.json and summary.md.
        pipeline_run_id: Kubeflow's id of this pipeline run.
        model_name: Registered model to add the version to.
        registered: Names the version in its metadata.
    """
    from pathlib import Path

    from components.register.step import register_step

    registration = register_step(Path(candidate.path), Path(evaluation.path), pipeline_run_id, model_name)
    registered.metadata["name"] = registration.name
    registered.metadata["version"] = registration.version
    registered.metadata["uri"] = registration.uri
    Path(registered.path).write_text(registration.uri)


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def close_run(pipeline_run_id: str, status: dsl.PipelineTaskFinalStatus) -> None:
    """Close the run in MLflow with the status that the pipeline ended with.

    Args:
        pipeline_run_id: Kubeflow's id of this pipeline run.
        status: How the pipeline ended.
    """
    from components.register.step import close_run_step

    close_run_step(pipeline_run_id, status.state, status.error_message or "")
