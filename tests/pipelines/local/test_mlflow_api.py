from typing import Any

import pytest

from components.common.errors import PipelineError, UnavailableError
from pipelines.local.mlflow_api import (
    call_mlflow,
    check_tracking_server,
    close_run_named,
    close_run_of,
)
from pipelines.local.platform import Platform
from pipelines.local.process import free_port
from tests.gateways import gateway


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


def test_a_login_that_a_network_can_read_is_warned_of_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with gateway(lambda _: (200, b"{}")) as server:
        elsewhere = server.address.replace("127.0.0.1", "0")  # another name of this machine
        check_tracking_server(elsewhere)
        assert capsys.readouterr().err == ""
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
        check_tracking_server(server.address)
        assert capsys.readouterr().err == ""
        for _ in range(2):
            check_tracking_server(elsewhere)
    warning = f"warning: {elsewhere} has no encryption: everybody on the way can read the login\n"
    assert capsys.readouterr().err == warning


def test_a_server_that_refuses_is_an_error() -> None:
    with (
        gateway(lambda _: (401, b"Who are you?")) as server,
        pytest.raises(PipelineError, match=r"refused a request with HTTP 401 \(Unauthorized\): .* the login"),
    ):
        check_tracking_server(server.address)


def test_a_server_of_something_else_is_an_error() -> None:
    with (
        gateway(lambda _: (200, b"<html>")) as server,
        pytest.raises(PipelineError, match="must be MLflow but answers with something else"),
    ):
        check_tracking_server(server.address)


@pytest.mark.parametrize(
    ("answer", "refused"),
    [((200, b"2.22.5"), True), ((200, b"3.0.1"), False), ((404, b""), False), ((200, b"<html>"), False)],
)
def test_a_server_that_is_too_old_is_refused_before_anything_starts(
    answer: tuple[int, bytes], refused: bool
) -> None:
    with gateway(lambda asked: answer if asked.path == "/version" else (200, b"{}")) as server:
        if not refused:
            check_tracking_server(server.address)
            return
        with pytest.raises(PipelineError, match=r"must be of version 3 or later but is 2\.22\.5: update it"):
            check_tracking_server(server.address)


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
    post("runs/set-tag", run_id=other, key="pipeline_run_id", value="of-kubeflow")
    assert not close_run_of(platform.tracking_uri, "none")
    assert close_run_of(platform.tracking_uri, "of-kubeflow")
    assert not close_run_of(platform.tracking_uri, "of-kubeflow")
