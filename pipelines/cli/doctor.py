"""Checks of this machine for the requirements of the pipeline, with advice where one is missing."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from components.common.errors import StatedError
from components.common.settings import export, export_defaults, settings
from components.common.storage.address import shown

COMMAND_SECONDS = 10
OLDEST, NEWEST = (3, 11), (3, 13)


@dataclass(frozen=True)
class Finding:
    """Result of one check.

    Attributes:
        subject: Name of the requirement.
        ok: Whether it is met.
        detail: Version or address; advice where it is not met.
        fatal: Whether `mnist-pipeline run` needs it.
    """

    subject: str
    ok: bool
    detail: str
    fatal: bool = False

    def line(self) -> str:
        """Return the finding as one line with aligned columns."""
        return f"{'ok     ' if self.ok else 'missing'}  {self.subject:17} {self.detail}"


def examine(home: Path) -> Iterator[Finding]:
    """Yield the results of all checks, one by one; the embedded platform in `home` is started for some of them."""
    yield _python()
    yield _disk(home)
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
    ok = OLDEST <= sys.version_info[:2] <= NEWEST
    return Finding("Python", ok, version + " (3.11 to 3.13 is needed, as TensorFlow has it)", fatal=True)


def _disk(home: Path) -> Finding:
    from components.common.bounds import LEAST_FREE, LITTLE_FREE
    from pipelines.local.disk import UNSUITABLE, file_system, free_bytes

    free, kind = free_bytes(home), file_system(home)
    room = f"{free / 2**30:.1f} GiB free on {kind or 'a file system of unknown kind'}"
    if kind.startswith(UNSUITABLE):
        return Finding(
            "disk", ok=False, detail=f"{room}, which does not suit: choose a local disk with --home"
        )
    if free < LITTLE_FREE:
        detail = f"{room}, which is little: a run needs {LEAST_FREE / 2**30:.0f} GiB; make room"
        return Finding("disk", ok=False, detail=detail, fatal=free < LEAST_FREE)
    return Finding("disk", ok=True, detail=room)


def _platform(home: Path) -> Iterator[Finding]:
    from pipelines.local.home import Home
    from pipelines.local.platform import embedded_platform

    try:
        with embedded_platform(Home(home)) as platform:
            export(platform.environment)
            yield Finding(
                "object store", ok=True, detail=f"{shown(platform.s3_endpoint_url)}, bucket {platform.bucket}"
            )
            if settings().embedded_servers:
                yield Finding("MLflow", ok=True, detail=shown(platform.tracking_uri))
            else:
                yield from _named_servers()
            yield _data()
    except StatedError as error:
        yield Finding("object store and MLflow", ok=False, detail=str(error), fatal=True)


def _named_servers() -> Iterator[Finding]:
    """Ask servers of one's own what a run asks them first."""
    from components.common.plan.run import RegistryPlan
    from components.common.tracking.client import QUIET
    from components.common.tracking.preflight import server_questions

    export_defaults(QUIET)
    for subject, question in server_questions(RegistryPlan().experiment):
        try:
            yield Finding(subject, ok=True, detail=question())
        except StatedError as error:
            yield Finding(subject, ok=False, detail=str(error), fatal=True)


def _data() -> Finding:
    from components.common.storage.object_store import ObjectStore
    from components.ingest.sources import mnist_available

    if named := settings().mnist_data_uri:
        return Finding("data", ok=True, detail=f"MNIST from MNIST_DATA_URI, {shown(named)}")
    found = mnist_available(ObjectStore.from_environment())
    detail = (
        f"MNIST from {shown(found)}"
        if found
        else "set MNIST_DATA_URI; without it a run uses the bundled digits"
    )
    return Finding("data", ok=bool(found), detail=detail)


def _command(subject: str, command: list[str], advice: str) -> Finding:
    if shutil.which(command[0]) is None:
        return Finding(subject, ok=False, detail=f"no {command[0]}: {advice}")
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=True)
    except subprocess.TimeoutExpired:
        return Finding(subject, ok=False, detail=f"{command[0]} does not answer: {advice}")
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines()
        return Finding(subject, ok=False, detail=f"{lines[-1] if lines else command[0]}: {advice}")
    # kubectl prints the client's version first and the cluster's version last.
    return Finding(subject, ok=True, detail=answer.stdout.strip().rpartition("\n")[2])
