"""`mnist-pipeline submit`: a run of this code on the server."""

from contextlib import redirect_stdout
from io import StringIO
from typing import Any

from pipelines.cluster.connection import Cluster
from pipelines.cluster.lookup import experiment_id
from pipelines.cluster.package import Package
from pipelines.parameters import run_name


def submit(
    cluster: Cluster,
    package: Package,
    experiment: str,
    arguments: dict[str, Any],
    *,
    create_experiment: bool,
    service_account: str | None,
) -> str:
    """Start a run of the package, and return the run's id.

    Raises:
        PipelineError: There is no such experiment.
    """
    identity = experiment_id(cluster, experiment, create=create_experiment)
    with redirect_stdout(StringIO()):  # kfp prints a link of its own
        run = cluster.client.run_pipeline(
            identity,
            run_name(arguments),
            pipeline_package_path=str(package.path),
            params=arguments,
            service_account=service_account,
        )
    return str(run.run_id)
