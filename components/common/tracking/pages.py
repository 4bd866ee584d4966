"""Addresses of MLflow's pages, for people."""

from urllib.parse import quote

from components.common.settings import settings
from components.common.storage.address import shown

# A first visit opens the pages for language models, where runs of a training have no charts.
TRAINING = "workflowType=machine_learning"


def runs_page(tracking_uri: str, experiment_id: str, view: str = "") -> str:
    """Return the address of the charts of an experiment's runs, in a view that the experiment keeps."""
    shared = f"&viewStateShareKey={view}" if view else ""
    runs = f"{_server(tracking_uri)}/#/experiments/{experiment_id}/runs"
    return f"{runs}?{TRAINING}&compareRunsMode=CHART{shared}"


def run_page(tracking_uri: str, experiment_id: str, run_id: str) -> str:
    """Return the address of a run's page; MLFLOW_UI_URL comes first where people reach the server by it."""
    return f"{_server(tracking_uri)}/#/experiments/{experiment_id}/runs/{run_id}?{TRAINING}"


def version_page(tracking_uri: str, name: str, version: str) -> str:
    """Return the address of a registered version's page, as `run_page` does."""
    return f"{model_page(tracking_uri, name)}/versions/{version}"


def model_page(tracking_uri: str, name: str) -> str:
    """Return the address of a registered model's page, as `run_page` does."""
    return f"{_server(tracking_uri)}/#/models/{quote(name, safe='')}"


def _server(tracking_uri: str) -> str:
    return shown(settings().mlflow_ui_url or tracking_uri).rstrip("/")
