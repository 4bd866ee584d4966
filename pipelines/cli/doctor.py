"""Does this machine have what the pipeline needs? Each finding says so, or how to mend it."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from components.common.errors import PipelineError
from components.common.settings import export, settings

COMMAND_SECONDS = 10


@dataclass(frozen=True)
class Finding:
    """One check; `fatal` where `mnist-pipeline run` cannot work without it."""

    subject: str
    ok: bool
    detail: str
    fatal: bool = False

    def line(self) -> str:
        return f"{'ok     ' if self.ok else 'missing'}  {self.subject:17} {self.detail}"


def examine(home: Path) -> Iterator[Finding]:
    """Check one thing after the other; a check that needs the embedded platform starts it in `home`."""
    yield _python()
    yield from _platform(home)
    yield _command(
        "container engine",
        ["docker", "version", "--format", "{{.Server.Version}}"],
        "start dockerd, or install one; only --runner docker and image builds need it",
    )
    yield _command(
        "cluster",
        ["kubectl", "version"],
        "install kubectl and choose a context; only submission needs it",
    )


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("Python", sys.version_info >= (3, 11), version + " (3.11 or later is needed)", fatal=True)


def _platform(home: Path) -> Iterator[Finding]:
    from pipelines.local.home import Home
    from pipelines.local.platform import embedded_platform

    try:
        with embedded_platform(Home(home)) as platform:
            export(platform.environment)
            yield Finding(
                "object store", ok=True, detail=f"{platform.s3_endpoint_url}, bucket {platform.bucket}"
            )
            yield Finding("MLflow", ok=True, detail=platform.tracking_uri)
            yield _data()
    except PipelineError as error:
        yield Finding("object store and MLflow", ok=False, detail=str(error), fatal=True)


def _data() -> Finding:
    from components.common.storage.object_store import ObjectStore
    from components.ingest.sources import mnist_available

    if named := settings().mnist_data_uri:
        return Finding("data", ok=True, detail=f"MNIST from MNIST_DATA_URI, {named}")
    found = mnist_available(ObjectStore.from_environment())
    detail = (
        f"MNIST from {found}" if found else "set MNIST_DATA_URI; without it a run uses the bundled digits"
    )
    return Finding("data", ok=bool(found), detail=detail)


def _command(subject: str, command: list[str], mend: str) -> Finding:
    if shutil.which(command[0]) is None:
        return Finding(subject, ok=False, detail=f"no {command[0]}: {mend}")
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=True)
    except subprocess.TimeoutExpired:
        return Finding(subject, ok=False, detail=f"{command[0]} does not answer: {mend}")
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines()
        return Finding(subject, ok=False, detail=f"{lines[-1] if lines else command[0]}: {mend}")
    # Of kubectl's lines, client to server, the last is the cluster's.
    return Finding(subject, ok=True, detail=answer.stdout.strip().rpartition("\n")[2])
