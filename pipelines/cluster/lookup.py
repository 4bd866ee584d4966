"""Ids of pipelines and experiments on the server by their names."""

import json
from typing import TYPE_CHECKING

from components.common.errors import PipelineError
from pipelines.cluster.connection import Cluster

if TYPE_CHECKING:
    from kfp_server_api import V2beta1PipelineVersion

MOST = 200
OPERATIONS = {"is": 1, "is not": 2, "contains": 9}


def predicates(*conditions: tuple[str, str, str]) -> str:
    """Return the API's filter for what meets all conditions: a key, one of `OPERATIONS`, and a value."""
    found = [
        {"operation": OPERATIONS[operation], "key": key, "stringValue": value}
        for key, operation, value in conditions
    ]
    return json.dumps({"predicates": found})


def named(name: str) -> str:
    """Return the API's filter for that display name."""
    return predicates(("display_name", "is", name))


def experiment_id(cluster: Cluster, name: str, *, create: bool) -> str:
    """Return the id of the experiment.

    Args:
        cluster: The server.
        name: Name of the experiment.
        create: Create it when it is missing.

    Raises:
        PipelineError: It is missing, or archived.
    """
    from kfp_server_api import V2beta1Experiment

    client = cluster.client
    found = client.list_experiments(filter=named(name), namespace=cluster.namespace).experiments
    if found and found[0].storage_state == "ARCHIVED":
        raise PipelineError(
            f"--experiment must be active but {name!r} is archived: restore it, or choose another."
        )
    if found:
        return str(found[0].experiment_id)
    if create:
        wanted = V2beta1Experiment(display_name=name, namespace=cluster.namespace)
        created = client.experiments.experiment_service_create_experiment(experiment=wanted)
        return str(created.experiment_id)
    others = client.list_experiments(page_size=MOST, namespace=cluster.namespace).experiments or []
    names = ", ".join(experiment.display_name for experiment in others) or "none"
    raise PipelineError(
        f"--experiment must exist but {name!r} does not (there is: {names}): choose one of them, or add "
        "--create-experiment."
    )


def pipeline_id(cluster: Cluster, name: str) -> str | None:
    """Return the id of the pipeline, None where there is none of that name."""
    found = cluster.client.list_pipelines(filter=named(name), namespace=cluster.namespace).pipelines
    return str(found[0].pipeline_id) if found else None


def versions(cluster: Cluster, pipeline: str) -> "list[V2beta1PipelineVersion]":
    """Return the pipeline's versions, the newest first."""
    listed = cluster.client.list_pipeline_versions(pipeline, page_size=MOST, sort_by="created_at desc")
    return list(listed.pipeline_versions or [])
