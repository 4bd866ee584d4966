"""The MLflow server, started as the manifests start it, answers their probes, and refuses a name it does not know."""

import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.local.process import free_port
from tests.infra.manifests import BIN, ROOT, containers_of, of_kind, overlay, pod_of

(DEPLOYMENT,) = of_kind(overlay("minikube"), "Deployment")
(CONTAINER,) = containers_of(pod_of(DEPLOYMENT)["spec"])
(SETTINGS,) = [c["data"] for c in of_kind(overlay("minikube"), "ConfigMap") if "MLFLOW_WORKERS" in c["data"]]
(STEPS,) = [
    c["data"] for c in of_kind(overlay("minikube"), "ConfigMap") if "MLFLOW_TRACKING_URI" in c["data"]
]
PROBES = [CONTAINER[name]["httpGet"] for name in ("startupProbe", "readinessProbe", "livenessProbe")]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a server with the manifest's command and settings, on a database of its own."""
    directory: Path = tmp_path_factory.mktemp("mlflow")
    chosen = free_port(5000)
    assert CONTAINER["command"][:2] == ["mlflow", "server"]
    command = [str(BIN / "mlflow"), *CONTAINER["command"][1:]]
    for option, value in {"--host": "127.0.0.1", "--port": str(chosen)}.items():
        command[command.index(option) + 1] = value
    app = directory / "app"
    app.mkdir()
    for source in (
        ROOT / "pipelines/local/mlflow_app.py",
        ROOT / "docker/mlflow-server/restricted.dist-info",
    ):
        (app / source.name).symlink_to(source)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(app),
        "HOME": str(directory),
        "MLFLOW_BACKEND_STORE_URI": "sqlite:///mlflow.db",
        **SETTINGS,
    }
    with (directory / "log").open("w") as log:
        server = subprocess.Popen(
            command, env=environment, cwd=directory, stdout=log, stderr=log, start_new_session=True
        )
        try:
            deadline = time.monotonic() + 240
            while ask(chosen, PROBES[0]) != 200:
                assert server.poll() is None, (directory / "log").read_text()
                assert time.monotonic() < deadline, (directory / "log").read_text()
                time.sleep(0.5)
            yield chosen
        finally:
            server.terminate()
            server.wait(30)


def ask(port: int, request: dict[str, Any], host: str | None = None) -> int:
    """The status that the probe gets; 0 where nothing answers."""
    headers = {header["name"]: header["value"] for header in request["httpHeaders"]}
    if host:
        headers["Host"] = host
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{request['path']}", headers=headers)
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            status: int = answer.status
            return status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


@pytest.mark.parametrize("probe", PROBES, ids=["startup", "readiness", "liveness"])
def test_probes_are_answered_and_notice_a_wrong_host(port: int, probe: dict[str, Any]) -> None:
    assert ask(port, probe) == 200
    assert ask(port, probe, "mlflow.example.org") == 403


def test_the_image_serves_runs_and_models_only(port: int) -> None:
    dockerfile = (ROOT / "docker/mlflow-server/Dockerfile").read_text()
    assert all(option in dockerfile for option in CONTAINER["command"][2:4])
    asked = {**PROBES[0], "path": "/ajax-api/3.0/mlflow/assistant/config"}
    assert ask(port, asked) == 404


def test_the_steps_address_is_the_probed_one(port: int) -> None:
    host = STEPS["MLFLOW_TRACKING_URI"].removeprefix("http://")
    assert {header["value"] for probe in PROBES for header in probe["httpHeaders"]} == {host}
    assert ask(port, PROBES[0], host) == 200
    assert ask(port, PROBES[0], "localhost:5000") == 200  # through kubectl port-forward
