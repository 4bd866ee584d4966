import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from components.common.errors import PipelineError, UnavailableError
from pipelines.local.mlflow_api import (
    call_mlflow,
    check_tracking_server,
    close_run_named,
    fetch_mlflow_artifact,
)
from pipelines.local.platform import Platform
from pipelines.local.process import free_port


class Refusing(BaseHTTPRequestHandler):
    authorization: str | None = None

    def do_POST(self) -> None:
        Refusing.authorization = self.headers["Authorization"]
        self.send_error(401, "Who are you?")

    def log_message(self, *_: object) -> None:
        pass


class Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def refusing_server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_running_server_passes(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port(0)}")
    check_tracking_server(platform.tracking_uri + "/")


@pytest.mark.parametrize("uri", ["sqlite:///mlflow.db", "./mlruns", "databricks"])
def test_tracking_uri_must_be_a_servers_address(uri: str) -> None:
    with pytest.raises(
        PipelineError, match=f"must be the http.s. address of an MLflow server but got {uri}: .*unset"
    ):
        check_tracking_server(uri)


@pytest.mark.parametrize("uri", ["http://127.0.0.1:{closed}", "http://name.invalid"])
def test_unreachable_server_is_an_error_with_a_way_out(uri: str) -> None:
    with pytest.raises(
        UnavailableError, match=r"no MLflow server answers at http.*: start it or correct MLFLOW_TRACK"
    ):
        check_tracking_server(uri.format(closed=free_port(0)))


@pytest.mark.parametrize(
    ("variables", "sent"),
    [
        ({}, None),
        ({"MLFLOW_TRACKING_TOKEN": "token"}, "Bearer token"),
        ({"MLFLOW_TRACKING_USERNAME": "u", "MLFLOW_TRACKING_PASSWORD": "p"}, "Basic dTpw"),
    ],
)
def test_server_that_refuses_is_an_error(
    refusing_server: str, variables: dict[str, str], sent: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(PipelineError, match=r"refused a request with HTTP 401 \(Who are you\?\)"):
        check_tracking_server(refusing_server)
    assert Refusing.authorization == sent


def test_a_certificate_is_trusted_when_it_is_named(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        uri = f"https://127.0.0.1:{server.server_port}"
        with pytest.raises(PipelineError, match="CERTIFICATE_VERIFY_FAILED"):
            check_tracking_server(uri)
        monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(certificate))
        check_tracking_server(uri)
        assert fetch_mlflow_artifact(uri, "1/run.json") == b"{}"
        server.shutdown()
        thread.join()


def test_a_named_run_is_closed_with_what_runs_below_it_and_nothing_else(platform: Platform) -> None:
    def post(method: str, **payload: Any) -> dict[str, Any]:
        return call_mlflow(platform.tracking_uri, method, payload)

    experiment = post("experiments/create", name="abandoned")["experiment_id"]

    def create(name: str, **tags: str) -> str:
        given = [{"key": key.replace("_", "."), "value": value} for key, value in tags.items()]
        made = post("runs/create", experiment_id=experiment, run_name=name, tags=given)
        run_id: str = made["run"]["info"]["run_id"]
        return run_id

    parent, other = create("mine", step="pipeline"), create("other", step="pipeline")
    ended = create("ended", mlflow_parentRunId=parent)
    post("runs/update", run_id=ended, status="FINISHED", end_time=1)
    step = create("step", mlflow_parentRunId=parent)
    trial = create("trial", mlflow_parentRunId=step)
    done = create("done", step="pipeline")
    post("runs/update", run_id=done, status="FAILED", end_time=1)

    for name in ("mine", "done", "never started"):
        close_run_named(platform.tracking_uri, name)

    found = post("runs/search", experiment_ids=[experiment])["runs"]
    status = {run["info"]["run_id"]: run["info"]["status"] for run in found}
    assert [status[run_id] for run_id in (parent, step, trial)] == ["KILLED"] * 3
    assert [status[run_id] for run_id in (other, ended, done)] == ["RUNNING", "FINISHED", "FAILED"]
    close_run_named(platform.tracking_uri, "other")
