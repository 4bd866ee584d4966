"""The reader of a server: where its requests go, what they carry, and what becomes of answers that are errors."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from components.common.errors import PipelineError, StatedError, UnavailableError
from pipelines.models.reader import StoredVersion
from pipelines.models.server_reader import ServerReader

VERSION = StoredVersion("m", "2", 0, "", "", {})
PREFIX = "/team/mlflow"


class Scripted(BaseHTTPRequestHandler):
    """Answers each path below `PREFIX` with the next of its statuses and contents; the last one stays."""

    answers: dict[str, list[tuple[int, Any]]]
    asked: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers["Authorization"]))
        answers = self.answers[
            self.path.removeprefix(f"{PREFIX}/").removeprefix("api/2.0/").partition("?")[0]
        ]
        status, content = answers.pop(0) if len(answers) > 1 else answers[0]
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple[int, Any]]]:
    """Answers of the server, by path."""
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    experiments = {"experiments": [{"experiment_id": "0"}]}
    Scripted.answers = {"mlflow/experiments/search": [(200, experiments)], "version": [(200, b"3.17.2")]}
    Scripted.asked = []
    return Scripted.answers


@pytest.fixture
def reader(script: dict[str, list[tuple[int, Any]]]) -> Iterator[ServerReader]:
    assert script
    with ThreadingHTTPServer(("127.0.0.1", 0), Scripted) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield ServerReader(f"http://127.0.0.1:{server.server_port}{PREFIX}/")
        server.shutdown()
        thread.join()


def test_requests_go_below_the_prefix_with_the_login(
    reader: ServerReader, script: dict[str, list[tuple[int, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "token")
    script["mlflow/model-versions/get-download-uri"] = [
        (200, {"artifact_uri": "mlflow-artifacts:/1/a b"}),
    ]
    script["mlflow-artifacts/artifacts/1/a%20b/lineage/run.json"] = [(200, b"{}")]
    location = reader.location(VERSION)
    assert reader.file(VERSION, location, "lineage/run.json") == b"{}"
    assert Scripted.asked[-1] == (
        f"{PREFIX}/api/2.0/mlflow-artifacts/artifacts/1/a%20b/lineage/run.json",
        "Bearer token",
    )


def test_all_pages_are_read(reader: ServerReader, script: dict[str, list[tuple[int, Any]]]) -> None:
    script["mlflow/registered-models/search"] = [
        (200, {"registered_models": [{"name": "a"}], "next_page_token": "next&"}),
        (
            200,
            {"registered_models": [{"name": "b", "aliases": [{"alias": "champion", "version": "3"}]}]},
        ),
    ]
    assert reader.aliases() == {"a": {}, "b": {"champion": "3"}}
    assert "page_token=next%26" in Scripted.asked[-1][0]


def test_an_outage_is_tried_again(reader: ServerReader, script: dict[str, list[tuple[int, Any]]]) -> None:
    script["mlflow/registered-models/search"] = [(503, {}), (429, {}), (200, {})]
    assert reader.aliases() == {}


@pytest.mark.parametrize(
    ("answer", "message", "requests"),
    [
        ((503, {}), r"refused a request with HTTP 503 \(Service Unavailable\)", 3),
        ((403, {}), r"refused a request with HTTP 403 \(Forbidden\): .* login", 1),
        (
            (400, {"error_code": "BAD_REQUEST", "message": "no"}),
            r"refused a request with HTTP 400 \(no\): look into the log",
            1,
        ),
        ((200, b"no JSON"), "must be MLflow but answers with something else", 1),
    ],
)
def test_an_error_is_no_answer_and_an_outage_is_tried_again(
    reader: ServerReader,
    script: dict[str, list[tuple[int, Any]]],
    answer: tuple[int, Any],
    message: str,
    requests: int,
) -> None:
    script["mlflow/runs/search"] = [answer]
    with pytest.raises(StatedError, match=message) as raised:
        reader.metrics(["1" * 32])
    assert [path.endswith("runs/search") for path, _ in Scripted.asked].count(True) == requests
    assert isinstance(raised.value, UnavailableError if requests > 1 else PipelineError)


def test_files_that_the_server_does_not_hand_out_are_fetched_by_mlflows_client(
    reader: ServerReader,
    script: dict[str, list[tuple[int, Any]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", str(reader.tracking_uri))
    (tmp_path / "lineage").mkdir()
    (tmp_path / "lineage" / "run.json").write_bytes(b"{}")
    version = {"name": "m", "version": "2", "source": str(tmp_path)}
    script["mlflow/model-versions/get-download-uri"] = [(200, {"artifact_uri": tmp_path.as_uri()})]
    script["mlflow/registered-models/get"] = [(200, {"registered_model": {"name": "m"}})]
    script["mlflow/model-versions/get"] = [(200, {"model_version": version})]
    assert reader.file(VERSION, reader.location(VERSION), "lineage/run.json") == b"{}"
    with pytest.raises(PipelineError, match="models:/m/2/lineage/lost.json must be readable but is not"):
        reader.file(VERSION, reader.location(VERSION), "lineage/lost.json")
