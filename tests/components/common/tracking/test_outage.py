"""An MLflow server that goes away, or says no, while a step works."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from components.common import patience
from components.common.errors import UnavailableError
from components.common.tracking import outbox, step
from components.common.tracking.run import StepRun
from components.common.tracking.step import step_run
from components.common.tracking.tree import close_pipeline_run, find_pipeline_run, open_pipeline_run
from tests.servers import Platform

if TYPE_CHECKING:
    from mlflow import MlflowClient


class Gateway(ThreadingHTTPServer):
    """Stands before the server.

    Attributes:
        outage: The status that it answers instead of passing a request on, 0 for no answer at all.
        largest: The longest body that it lets pass.
    """

    def __init__(self, server: str) -> None:
        super().__init__(("127.0.0.1", 0), Relay)
        self.server = urlsplit(server).netloc
        self.outage: int | None = None
        self.largest = 1 << 20


class Relay(BaseHTTPRequestHandler):
    server: Gateway

    def relay(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status = self.server.outage if len(body) <= self.server.largest else 413
        if status is not None:
            if status:
                self.send_error(status)
            return
        connection = HTTPConnection(self.server.server)
        # MLflow answers at its own address alone.
        headers = {**self.headers, "Host": self.server.server}
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.headers["Content-Type"])
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        self.relay()

    def do_POST(self) -> None:
        self.relay()

    def do_PUT(self) -> None:
        self.relay()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def gateway(
    platform: Platform, mlflow_client: "MlflowClient", monkeypatch: pytest.MonkeyPatch
) -> Iterator[Gateway]:
    """The steps' only way to MLflow; `mlflow_client` goes straight to it."""
    assert mlflow_client is not None
    with Gateway(platform.tracking_uri) as gateway:
        thread = threading.Thread(target=gateway.serve_forever, args=(0.02,))
        thread.start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{gateway.server_port}")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        monkeypatch.setenv("OUTAGE_SECONDS", "0")
        monkeypatch.setattr(step, "LAST_SECONDS", 60)
        yield gateway
        gateway.shutdown()
        thread.join()


@pytest.fixture
def run_id(gateway: Gateway) -> str:
    assert gateway.outage is None
    run_id = uuid.uuid4().hex
    open_pipeline_run(run_id, "digits-fast", "outage")
    return run_id


@pytest.mark.parametrize("outage", [0, 502, 429])
def test_records_wait_and_are_sent_when_mlflow_is_back(
    mlflow_client: "MlflowClient",
    gateway: Gateway,
    run_id: str,
    outage: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with step_run(run_id, "tune") as run:
        gateway.outage = outage
        run.log_metrics({"loss": 2.0}, 1)
        trial = run.child("trial 1")
        trial.log_metrics({"val_accuracy": 0.5}, 1)
        trial.close()
        run.log_metrics({"loss": 1.0}, 2)
        assert mlflow_client.get_run(run.run_id).data.metrics == {}
        gateway.outage = None

    said = capsys.readouterr().out
    assert said.count("[tracking] MLflow takes no records, which wait until it does: ") == 1
    assert "lost" not in said
    history = mlflow_client.get_metric_history(run.run_id, "loss")
    assert [(metric.step, metric.value) for metric in history] == [(1, 2.0), (2, 1.0)]
    assert history[0].timestamp <= history[1].timestamp
    assert mlflow_client.get_run(run.run_id).info.status == "FINISHED"
    sent = mlflow_client.get_run(trial.run_id)
    assert sent.data.tags["mlflow.parentRunId"] == run.run_id
    assert (sent.data.metrics, sent.info.status) == ({"val_accuracy": 0.5}, "FINISHED")


def test_records_are_sent_while_the_step_goes_on(
    mlflow_client: "MlflowClient", gateway: Gateway, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "FIRST_PAUSE", 0.05)
    with step_run(run_id, "train") as run:
        gateway.outage = 0
        run.log_metrics({"before": 1.0})
        gateway.outage = None
        run.log_metrics({"after": 1.0})
        for _ in range(100):
            if sent := mlflow_client.get_run(run.run_id).data.metrics.keys() == {"before", "after"}:
                break
            time.sleep(0.05)
        assert sent


def test_records_that_were_never_sent_are_said_to_be_lost(
    mlflow_client: "MlflowClient",
    gateway: Gateway,
    run_id: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(step, "LAST_SECONDS", 0.1)
    finished = False
    with step_run(run_id, "train") as run:
        gateway.outage = 0
        for epoch in (1, 2, 3):
            run.log_metrics({"loss": 1.0}, epoch)
        finished = True

    assert finished
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "[tracking] 4 records were not sent to MLflow and are lost"
    assert mlflow_client.get_run(run.run_id).data.metrics == {}


def test_an_error_of_the_work_is_raised_in_an_outage_too(
    gateway: Gateway, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step, "LAST_SECONDS", 0.1)

    def fail() -> None:
        gateway.outage = 0
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), step_run(run_id, "train"):
        fail()


def test_a_step_that_starts_in_an_outage_works_untracked(
    gateway: Gateway, run_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.outage = 0
    with step_run(run_id, "train") as run:
        run.log_metrics({"loss": 1.0})
    assert run.run_id == ""
    assert "[tracking] this step is not tracked: " in capsys.readouterr().out


def test_an_outage_at_the_start_of_a_step_is_waited_for(
    mlflow_client: "MlflowClient",
    gateway: Gateway,
    run_id: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(patience, "FIRST_PAUSE", 0.1)
    monkeypatch.setenv("OUTAGE_SECONDS", "30")
    gateway.outage = 502
    threading.Timer(0.2, lambda: setattr(gateway, "outage", None)).start()
    with step_run(run_id, "train") as run:
        run.log_metrics({"loss": 1.0})

    assert mlflow_client.get_run(run.run_id).data.metrics == {"loss": 1.0}
    assert "Trying again for 30 s.\n" in capsys.readouterr().out


def test_a_pipeline_run_cannot_start_in_an_outage(gateway: Gateway) -> None:
    gateway.outage = 0
    with pytest.raises(UnavailableError, match=r"^a run needs MLflow at http.* start that server") as caught:
        open_pipeline_run(uuid.uuid4().hex, "digits-fast", "outage")
    assert "\n" not in str(caught.value)


def test_a_pipeline_run_that_ends_in_an_outage_is_closed_by_a_later_attempt(
    mlflow_client: "MlflowClient", gateway: Gateway, run_id: str
) -> None:
    gateway.outage = 0
    with pytest.raises(UnavailableError):
        close_pipeline_run(run_id, succeeded=True, message="")

    parent = find_pipeline_run(mlflow_client, run_id)
    assert parent is not None
    assert parent.info.status == "RUNNING"
    gateway.outage = None
    close_pipeline_run(run_id, succeeded=True, message="")
    assert mlflow_client.get_run(parent.info.run_id).info.status == "FINISHED"


def _change_a_parameter(run: StepRun) -> None:
    run.log_params({"config.epochs": 2})


def _name_a_metric_badly(run: StepRun) -> None:
    run.log_metrics({"loss|": 1.0})


def _log_a_large_file(run: StepRun) -> None:
    run.log_file(Path(__file__))


@pytest.mark.parametrize("refused", [_change_a_parameter, _name_a_metric_badly, _log_a_large_file])
def test_a_refused_record_is_said_and_holds_up_no_other(
    mlflow_client: "MlflowClient",
    gateway: Gateway,
    run_id: str,
    refused: Callable[[StepRun], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    gateway.largest = 1000
    with step_run(run_id, "train") as run:
        run.log_params({"config.epochs": 1})
        refused(run)
        run.log_metrics({"loss": 0.5})

    sent = mlflow_client.get_run(run.run_id)
    assert (sent.data.params, sent.data.metrics) == ({"config.epochs": "1"}, {"loss": 0.5})
    said = capsys.readouterr().out
    assert said.count("[tracking] MLflow refused a record: ") == 1
    assert "lost" not in said
