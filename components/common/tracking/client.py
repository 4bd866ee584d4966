"""The client of the MLflow server that the settings name."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from components.common.errors import PipelineError, UnavailableError
from components.common.settings import LOOPBACK, direct, export, export_defaults, settings
from components.common.storage.s3 import client_variables
from components.common.tracking.failures import is_outage, mlflow_errors, reason
from components.common.tracking.login import login_variables

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import RegisteredModel

MLFLOW_DEFAULTS = {
    # MLflow's defaults keep a step waiting for minutes when the server is gone.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    # Files go through the MLflow server. By default its client asks for addresses in the server's store, which mean
    # nothing where only the server reaches that store: from a laptop to a cluster, or to a server in a container.
    "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
    "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",
}

# In one search for runs: SQLite takes so many values in one query for sure.
MOST_EXPERIMENTS = 500

# Variables of libraries whose messages do not belong on the terminal of a command.
QUIET = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}


def configure_mlflow() -> None:
    """Set the variables that MLflow's client reads, except those that are set already."""
    export_defaults(MLFLOW_DEFAULTS)
    given = settings()
    if given.s3_endpoint_url:
        # Where the server lets its clients fetch files from its store themselves.
        export_defaults(client_variables(given.s3_endpoint_url))
    if given.mlflow_tracking_uri:
        # A cluster gives address, login and workspace under names that MLflow's client does not read.
        workspace = {"MLFLOW_WORKSPACE": given.mlflow_workspace} if given.mlflow_workspace else {}
        named = {"MLFLOW_TRACKING_URI": given.mlflow_tracking_uri}
        export({**named, **login_variables(), **workspace, **direct(*LOOPBACK)})


def tracking_client() -> "MlflowClient | None":
    """Return a configured client, None where the settings name no server; MLflow is imported only with a server."""
    if settings().mlflow_tracking_uri is None:
        return None
    configure_mlflow()
    from mlflow import MlflowClient

    return MlflowClient()


def find_registered_model(client: "MlflowClient", name: str) -> "RegisteredModel | None":
    """Return a registered model, None where there is none or this user may not see it.

    A server with workspaces and logins denies a request for a model that is missing, so it is searched for.
    """
    found = client.search_registered_models(f"name = '{name}'", max_results=1)
    return found[0] if found else None


def batched(values: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Yield the values in parts of so many at most."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def all_pages(search: Callable[..., Any], *given: Any, **query: Any) -> Iterator[Any]:
    """Yield all that a search of MLflow's client finds; it gives them page by page."""
    token = None
    while True:
        page = search(*given, page_token=token, **query)
        yield from page
        if not (token := page.token):
            return


@contextmanager
def mlflow_must_answer(
    subject: str = "this", way_out: str = "start that server, or correct what it refuses"
) -> Iterator[None]:
    """Turn an error of MLflow's client into one line, where the work needs the answer.

    Args:
        subject: What needs it.
        way_out: Advice.

    Raises:
        UnavailableError: The server is away, busy or broken.
        PipelineError: It refused a call in the block, or its address cannot be used.
    """
    try:
        yield
    except mlflow_errors() as error:
        kind = UnavailableError if is_outage(error) else PipelineError
        raise kind(
            f"{subject} needs MLflow at {settings().mlflow_tracking_uri} but {reason(error)}: {way_out}."
        ) from error
