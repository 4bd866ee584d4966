"""`mnist-pipeline submit`: a run of this code on the server."""

from contextlib import redirect_stdout
from io import StringIO

from pipelines.cluster.connection import Cluster
from pipelines.cluster.lookup import experiment_id
from pipelines.cluster.package import Package
from pipelines.parameters import Request


def start_run(
    cluster: Cluster,
    package: Package,
    experiment: str,
    request: Request,
    *,
    create_experiment: bool,
    service_account: str | None,
) -> str:
    """Start a run of the package, and return the run's id.

    Raises:
        PipelineError: There is no such experiment.
    """
    identity = experiment_id(cluster, experiment, create=create_experiment)
    with redirect_stdout(StringIO()):  # kfp prints a link too
        run = cluster.client.run_pipeline(
            identity,
            request.run_name(),
            pipeline_package_path=str(package.path),
            params=request.arguments(),
            service_account=service_account,
        )
    return str(run.run_id)
