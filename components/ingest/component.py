"""The `ingest` step on Kubeflow."""

from kfp import dsl

from components.common.container_image import BASE_IMAGE


@dsl.component(base_image=BASE_IMAGE, install_kfp_package=False)
def ingest(
    pipeline_run_id: str,
    pipeline_run_name: str,
    experiment_name: str,
    model_name: str,
    data: str,
    dataset_name: str,
    data_version: str,
    raw: dsl.Output[dsl.Dataset],
) -> None:
    """Bring the data set in as four idx files.

    Args:
        pipeline_run_id: Kubeflow's id of this pipeline run.
        pipeline_run_name: Kubeflow's name of this pipeline run.
        experiment_name: MLflow experiment of the run.
        model_name: Registered model that the run is for; by default the data set's name and "-cnn".
        data: "mnist", "digits", or the path or URI of other data.
        dataset_name: Name for other data.
        data_version: A label of one's own for this state of the data.
        raw: Directory with the idx files and source.json.
    """
    from pathlib import Path

    from components.ingest.collect import IngestConfig
    from components.ingest.step import ingest_step

    info = ingest_step(
        IngestConfig(data=data, dataset_name=dataset_name, version=data_version),
        pipeline_run_id,
        pipeline_run_name,
        experiment_name,
        model_name,
        Path(raw.path),
    )
    raw.metadata["dataset"] = info.name
    raw.metadata["digest"] = info.digest
