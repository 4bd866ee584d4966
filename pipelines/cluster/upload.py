"""`mnist-pipeline upload`: a new version of the pipeline on the server."""

import itertools
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO

from components.common.errors import PipelineError
from pipelines.cluster.connection import Cluster
from pipelines.cluster.lookup import pipeline_id, versions
from pipelines.cluster.package import Package


@dataclass(frozen=True)
class Upload:
    """Name of a version of the pipeline on the server, and the address of its page."""

    version: str
    link: str


def upload_version(cluster: Cluster, package: Package, name: str) -> Upload:
    """Add the package as the newest version of the pipeline `name`, which is created when it is missing.

    The version's description holds the package's digest, by which the next upload recognizes it.

    Raises:
        PipelineError: The newest version is this very package.
    """
    from kfp_server_api import V2beta1Pipeline

    client = cluster.client
    identity = pipeline_id(cluster, name)
    if identity is None:
        wanted = V2beta1Pipeline(display_name=name, name=name, namespace=cluster.namespace)
        identity = str(client.pipelines.pipeline_service_create_pipeline(wanted).pipeline_id)
    earlier = versions(cluster, identity)
    if earlier and package.digest in (earlier[0].description or ""):
        raise PipelineError(
            f"a new version must differ from the newest one, but {earlier[0].display_name!r} of {name!r} is this "
            "very package: change something, or name another image."
        )
    version = _unused(f"{name}-{package.version}", {entry.display_name for entry in earlier})
    with redirect_stdout(StringIO()):  # kfp prints a link too
        uploaded = client.upload_pipeline_version(
            str(package.path), version, pipeline_id=identity, description=f"package sha256:{package.digest}"
        )
    path = f"pipelines/details/{identity}/version/{uploaded.pipeline_version_id}"
    return Upload(version, cluster.link(path))


def _unused(name: str, taken: set[str]) -> str:
    numbered = (f"{name}-{number}" for number in itertools.count(2))
    return next(candidate for candidate in itertools.chain([name], numbered) if candidate not in taken)
