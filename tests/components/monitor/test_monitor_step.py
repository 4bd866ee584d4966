import json
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from components.common.data.request_log import write_requests
from components.common.data.spec import MNIST_SPEC
from components.common.errors import PipelineError
from components.common.model.aliases import CHAMPION
from components.common.storage.object_store import ObjectStore
from components.monitor.drift import LEAST_REQUESTS
from components.monitor.report import REPORT_FILE
from components.monitor.result import Monitoring
from components.monitor.step import Watch, claim_step, monitor_requests, monitor_step
from components.register.publish import publish
from tests.components.monitor.conftest import Watched
from tests.linear_models import save_candidate
from tests.records import lineage

if TYPE_CHECKING:
    from mlflow import MlflowClient

SINCE, UNTIL = 1_795_000_000.0, 1_795_086_400.0


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """What a receiver of notices is told."""
    notices: list[dict[str, Any]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            notices.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        monkeypatch.setenv("NOTIFY_WEBHOOK_URL", f"http://127.0.0.1:{server.server_port}")
        yield notices
        server.shutdown()


@pytest.fixture
def watch(
    mlflow_client: "MlflowClient",
    watched: Watched,
    store: ObjectStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Watch:
    """The first version of a model with the digits' reference, whose requests are kept in an empty bucket."""
    monkeypatch.setenv("S3_BUCKET", store.bucket)
    candidate = tmp_path / "candidate"
    candidate.mkdir()
    save_candidate(candidate, MNIST_SPEC)
    watched.reference.save(candidate)
    name = f"watched-{uuid.uuid4().hex}"
    run_id = mlflow_client.create_run("0").info.run_id
    publish(candidate, lineage(name, "first", experiment_name=name), run_id=run_id)
    return Watch(name, CHAMPION, f"s3://{store.bucket}/log", SINCE, UNTIL)


def test_a_window_is_judged_reported_tracked_and_told(
    mlflow_client: "MlflowClient",
    watched: Watched,
    watch: Watch,
    store: ObjectStore,
    tmp_path: Path,
    told: list[dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    target = tmp_path / "monitoring"
    write_requests(store, "log", watched.requests(watched.images[:300], times=SINCE))
    write_requests(store, "log", watched.requests(watched.images[:20] // 2, version="2", times=SINCE + 1))
    outcome = monitor_requests(watch, target)
    found = outcome.found
    assert (found.verdict, found.version, found.requests, found.others, found.labelled) == (
        "none",
        "1",
        300,
        20,
        0,
    )
    assert told == []
    assert claim_step(target, "me", retrain=True) == "keep"

    # The same window, with more requests and with labels.
    write_requests(store, "log", watched.requests(watched.images[300:700] // 3, times=UNTIL - 1))
    rows = "".join(f"request-{row},{watched.labels[row]}\n" for row in range(50))
    (tmp_path / "labels.csv").write_text(f"id,label\n{rows}")
    store.upload(tmp_path / "labels.csv", "log/labels/1.csv")
    again = monitor_requests(watch, target)
    assert again.found.verdict == "drift"
    assert again.link == outcome.link
    assert monitor_requests(watch, target).found == again.found
    (notice,) = told
    assert notice["data"]["kind"] == "drift"
    assert notice["data"]["subject"].startswith(f"Drift in 700 requests of {watch.model} v1: ")
    assert notice["data"]["link"] == again.link
    experiment = mlflow_client.get_experiment_by_name(f"{watch.model}-monitoring")
    assert experiment is not None
    (run,) = mlflow_client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert (run.data.tags["verdict"], run.data.tags["step"]) == ("drift", "monitor")
    assert run.data.metrics["requests"] == 700
    assert run.data.metrics["distance/brightness"] > 0.3
    files = {file.path for file in mlflow_client.list_artifacts(run.info.run_id)}
    assert files == {REPORT_FILE, Monitoring.FILE}
    assert Monitoring.load(target) == again.found

    assert claim_step(target, "run 1", retrain=False) == "keep"
    assert [claim_step(target, owner, retrain=True) for owner in ("run 1", "run 2", "run 1")] == [
        "retrain",
        "keep",
        "retrain",
    ]
    assert len(store.keys("labelled/stripes/")) == 1
    assert "labelled requests are added to the training images of stripes" in capsys.readouterr().out


def test_a_window_of_few_requests_is_said_and_not_judged(
    watched: Watched, watch: Watch, store: ObjectStore, tmp_path: Path, told: list[dict[str, Any]]
) -> None:
    assert monitor_requests(watch, tmp_path / "none").found.verdict == "too-few"
    dark = watched.images[: LEAST_REQUESTS - 1] // 4
    write_requests(store, "log", watched.requests(dark, times=SINCE))
    outcome = monitor_requests(watch, tmp_path / "few")
    assert (outcome.found.verdict, outcome.found.requests) == ("too-few", LEAST_REQUESTS - 1)
    assert "are too few" in (tmp_path / "few" / REPORT_FILE).read_text()
    assert claim_step(tmp_path / "few", "me", retrain=True) == "keep"
    assert told == []


def test_a_version_without_a_reference_is_one_line(
    mlflow_client: "MlflowClient", store: ObjectStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_candidate(tmp_path, MNIST_SPEC)
    name = f"unwatched-{uuid.uuid4().hex}"
    run_id = mlflow_client.create_run("0").info.run_id
    publish(tmp_path, lineage(name, "first"), run_id=run_id)
    watch = Watch(name, CHAMPION, f"s3://{store.bucket}/log", SINCE, UNTIL)
    with pytest.raises(SystemExit) as ended:
        monitor_step(watch, tmp_path / "monitoring")
    assert ended.value.code == 1
    assert "but was registered without one: register a new version." in capsys.readouterr().out
    with pytest.raises(PipelineError, match="MLflow"):
        monitor_requests(Watch(**{**vars(watch), "version": "9"}), tmp_path / "monitoring")
