"""Questions to store and MLflow before a run, whose answers it would otherwise meet after all training.

What they write they remove again. A removal that is refused or finds no answer is tried no second time and stops
nothing; the answer says what stays.
"""

import secrets
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from components.common.errors import PipelineError, StatedError, UnavailableError, is_outage_status
from components.common.model.aliases import HISTORY_SUFFIX
from components.common.narration import say
from components.common.patience import patiently
from components.common.settings import LOOPBACK, settings
from components.common.storage.address import LOGIN_IN_CLEAR, shown
from components.common.storage.object_store import ObjectStore
from components.common.tracking.client import find_registered_model, mlflow_must_answer, tracking_client
from components.common.tracking.failures import mlflow_errors, reason
from components.common.tracking.login import login_in_clear
from components.common.tracking.tree import ensured_experiment

if TYPE_CHECKING:
    from mlflow import MlflowClient

# The first version of MLflow with logged models, which a registered version is made of.
LEAST_MAJOR = 3
# Seconds. S3 refuses what was signed further away.
MOST_SKEW = 900
BYTES = 1 << 16
LOGGED_MODELS, NO_METHOD = "/api/2.0/mlflow/logged-models", {405, 501}
NAME = "preflight"
LOG = "read the log of that server; its own store may be away, or refuse it"

# Returns the answer in words, or raises a `StatedError`.
Question = Callable[[], str]


def examine_servers(step: str, run_id: str, experiment: str) -> None:
    """Ask all questions, and say each answer; those of an embedded platform need none.

    Args:
        step: Whose progress this is.
        run_id: MLflow's run to try a file with; "" to make one for that.
        experiment: Where to make it.

    Raises:
        PipelineError: A server refuses what a run needs, or does not give back what it was given.
        UnavailableError: It does not answer for OUTAGE_SECONDS.
    """
    if settings().embedded_servers:
        return
    for subject, question in server_questions(experiment, run_id):
        say(step, f"{subject}: {patiently(step, question)}")


def server_questions(experiment: str, run_id: str = "") -> Iterator[tuple[str, Question]]:
    """Yield subject and question for each thing that a run needs of the servers that the settings name.

    Args:
        experiment: Where to make a run, created when missing; the run is deleted again.
        run_id: A run to take in place of that.
    """
    if client := tracking_client():
        yield "MLflow", _server
        if run_id:
            yield "MLflow's files", partial(_file, client, run_id)
        else:
            yield "MLflow's runs", partial(_run, client, experiment)
        yield "MLflow's models", partial(_new_model, client)
    if store := ObjectStore.from_environment():
        yield "store's objects", partial(_objects, store)


def require_changeable(model_name: str) -> None:
    """Make sure that this user may add to a registered model and to its history, where there are such.

    Raises:
        UnavailableError: MLflow does not answer.
        PipelineError: It refuses.
    """
    client = None if settings().embedded_servers else tracking_client()
    if client is None:
        return
    mark = f"{NAME}.{secrets.token_hex(4)}"
    for name in (model_name, model_name + HISTORY_SUFFIX):
        with mlflow_must_answer(f"registered model {name!r}", "let this user change it"):
            if find_registered_model(client, name):
                client.set_registered_model_tag(name, mark, "may change")
                client.delete_registered_model_tag(name, mark)


def require_supported(version: str, tracking_uri: str) -> None:
    """Refuse a version of MLflow's server that is too old.

    Raises:
        PipelineError: It is.
    """
    if int(version.partition(".")[0]) < LEAST_MAJOR:
        raise PipelineError(
            f"the MLflow server at {shown(tracking_uri)} must be of version {LEAST_MAJOR} or later but is {version}: "
            "update it or name another with MLFLOW_TRACKING_URI."
        )


def stated_version(content: bytes) -> str:
    """Return the version in a server's answer, "" where what stands before it hands the API alone on."""
    found = content.decode(errors="replace").strip()
    return found if found.partition(".")[0].isdecimal() else ""


def _server() -> str:
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request
    from mlflow.version import VERSION

    uri = str(settings().mlflow_tracking_uri)
    server = get_default_host_creds(uri)
    with mlflow_must_answer("a run"):
        answer = http_request(server, "/version", "GET", raise_on_status=False)
        # There is no such model, which MLflow says; what stands before it may say that there is no such method.
        patched = http_request(server, f"{LOGGED_MODELS}/{NAME}", "PATCH", json={}, raise_on_status=False)
    where = f"the MLflow server at {shown(uri)}"
    if is_outage_status(answer.status_code):
        raise UnavailableError(f"{where} must answer but cannot now (HTTP {answer.status_code}): {LOG}.")
    if patched.status_code in NO_METHOD:
        raise PipelineError(
            f"{where} must be reached by PATCH too, by which a model is finished, but that is answered with HTTP "
            f"{patched.status_code}: let what stands before it hand on GET, POST, PUT, PATCH and DELETE."
        )
    told = "of a version that it does not state"
    if answer.ok and (version := stated_version(answer.content)):
        require_supported(version, uri)
        told = f"{version}, and the client {VERSION}"
    readable = f"; it {LOGIN_IN_CLEAR}" if login_in_clear(uri) else ""
    return f"{shown(uri)} is {told}; {_skew(answer.headers.get('Date'), where)}{readable}"


def _run(client: "MlflowClient", experiment: str) -> str:
    with mlflow_must_answer("a run", f"let this user create runs in the experiment {experiment!r}"):
        run_id = client.create_run(ensured_experiment(client, experiment), run_name=NAME).info.run_id
    try:
        answer = _file(client, run_id)
    finally:
        left = _removed(f"its run {run_id}", partial(_end, client, run_id))
    return f"one was made; {answer}{left}"


def _end(client: "MlflowClient", run_id: str) -> None:
    client.update_run(run_id, "FINISHED")
    client.delete_run(run_id)


def _file(client: "MlflowClient", run_id: str) -> str:
    """Send a file through the server, or to the store that it names, and fetch it."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

    uri = str(settings().mlflow_tracking_uri)
    sent, name = secrets.token_bytes(BYTES), f"{NAME}-{secrets.token_hex(4)}.bin"
    with tempfile.TemporaryDirectory() as scratch, mlflow_must_answer("a file of a run", LOG):
        path = Path(scratch, name)
        path.write_bytes(sent)
        files = get_artifact_repository(client.get_run(run_id).info.artifact_uri)
        if isinstance(files, LocalArtifactRepository) and urlsplit(uri).hostname not in LOOPBACK:
            raise PipelineError(
                f"MLflow at {shown(uri)} must keep files itself or in a store but names {files.artifact_uri}, "
                "a directory of each machine: start it with --serve-artifacts and --artifacts-destination."
            )
        try:
            client.log_artifact(run_id, str(path))
            path.unlink()
            found = Path(client.download_artifacts(run_id, name, scratch)).read_bytes()
        finally:
            left = _removed(f"the file {name}", partial(files.delete_artifacts, name))
    _require_same(sent, found, f"MLflow at {shown(uri)}")
    return f"a file came back as it was sent{left}"


def _new_model(client: "MlflowClient") -> str:
    name = f"{NAME}-{secrets.token_hex(4)}"
    with mlflow_must_answer("a registered model", "let this user create registered models"):
        try:
            client.create_registered_model(name)
        finally:  # the answer alone may have been lost
            left = _removed(f"the model {name}", partial(client.delete_registered_model, name))
    return f"one was registered{left}"


def _objects(store: ObjectStore) -> str:
    trial, where = store.try_out(), f"the object store at {shown(store.endpoint)}"
    return f"bucket {store.bucket} of {where} {', '.join(trial.abilities)}; {_skew(trial.date, where)}"


def _removed(what: str, remove: Callable[[], object]) -> str:
    """Remove what a question has written; return in words what stays, else ""."""
    expected: tuple[type[Exception], ...] = (StatedError, *mlflow_errors())
    try:
        remove()
    except expected as error:
        return f" ({what} stays: {reason(error)})"
    return ""


def _require_same(sent: bytes, found: bytes, where: str) -> None:
    if found != sent:
        raise PipelineError(
            f"{where} must give back what it was given but {len(found)} bytes came back for {len(sent)}, not the same "
            "ones: correct what stores them, or what stands before it."
        )


def _skew(date: str | None, where: str) -> str:
    """Return in words how far a server's clock is from this one's.

    Raises:
        PipelineError: Too far.
    """
    try:
        stated = parsedate_to_datetime(date or "")
    except ValueError:
        return "it states no time"
    seconds = abs((datetime.now(UTC) - stated.replace(tzinfo=UTC)).total_seconds())
    if seconds > MOST_SKEW:
        raise PipelineError(
            f"the clocks of {where} and of this machine must be at most {MOST_SKEW} s apart but are {seconds:.0f} s: "
            "set the one that is wrong."
        )
    return f"clocks are {seconds:.0f} s apart"
