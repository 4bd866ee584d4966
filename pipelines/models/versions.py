"""The model registry, for commands that load or move versions."""

import getpass
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from components.common.notify import Notice, notify
from components.common.settings import export, export_defaults, exported, settings, withdraw
from components.common.tracking.client import QUIET, configure_mlflow, mlflow_must_answer
from components.common.tracking.pages import version_page
from pipelines.local.home import Home
from pipelines.local.home_keys import signing_variables
from pipelines.local.mlflow_api import check_tracking_server
from pipelines.local.platform import embedded_platform

if TYPE_CHECKING:
    from mlflow import MlflowClient


@contextmanager
def open_registry(home: Path) -> "Iterator[MlflowClient]":
    """Yield a client of the server that `MLFLOW_TRACKING_URI` names, else of the embedded platform in `home`.

    Raises:
        UnavailableError: The server does not answer.
        PipelineError: It refuses, or the platform does not start.
    """
    configure_mlflow()
    export_defaults(QUIET)
    if named := settings().mlflow_tracking_uri:
        check_tracking_server(named)
        with mlflow_must_answer(), exported(signing_variables(Home(home))):
            yield _client()
        return
    with embedded_platform(Home(home)) as platform:
        keys = signing_variables(Home(home))
        export(platform.environment)
        try:
            with mlflow_must_answer():
                yield _client()
        finally:
            for name in {"MLFLOW_TRACKING_URI", *keys}:
                withdraw(name)


@contextmanager
def all_servers(home: Path) -> Iterator[None]:
    """Name store and MLflow within the context: those in the settings, and the embedded ones for the others."""
    named = settings().mlflow_tracking_uri
    export_defaults(QUIET)
    with embedded_platform(Home(home)) as platform:
        export(platform.environment)
        try:
            yield
        finally:
            if not named:
                withdraw("MLFLOW_TRACKING_URI")


@contextmanager
def open_model(home: Path, given: str) -> "Iterator[tuple[MlflowClient, str]]":
    """Yield a client of the registry and the name of the registered model: `given`, or the only one there is.

    Raises:
        PipelineError: The registry cannot be reached, or has no such model, or has several and `given` is empty.
    """
    from components.register.steer import find_model

    with open_registry(home) as client:
        yield client, find_model(client, given)


def _client() -> "MlflowClient":
    from mlflow import MlflowClient

    return MlflowClient()


def tell_champion(name: str, version: str, who: str, why: str) -> None:
    """Tell the receivers of notices of a champion that somebody chose."""
    page = version_page(settings().mlflow_tracking_uri or "", name, version)
    lines = (f"chosen by {who}", why) if why else (f"chosen by {who}",)
    notify(Notice("champion", f"{name} version {version} is the new champion", lines, page))


def operator() -> str:
    """Return the user and the machine of this process, for the record of who moves an alias."""
    return f"{getpass.getuser()}@{socket.gethostname()}"
