"""Questions to MLflow's server with logins and workspaces, by each way that its client knows, and to a store."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType

from components.common.errors import PipelineError, StatedError
from components.common.settings import Settings, export, settings, variables_of
from components.common.storage.object_store import ObjectStore
from components.common.tracking import preflight
from components.common.tracking.client import configure_mlflow
from components.common.tracking.preflight import examine_servers, require_changeable, server_questions
from tests.gateways import Request, Rule, gateway

EXPERIMENT = "examined"
Ways = dict[str, str]


@pytest.fixture(autouse=True)
def no_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clear the variables, which are restored at the end, and the home directory."""
    of_mlflow = ("MLFLOW_S3_ENDPOINT_URL", "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "HTTP_PROXY", "http_proxy")
    for name in (*(name for field in Settings.model_fields for name in variables_of(field)), *of_mlflow):
        monkeypatch.setenv(name, "restored at the end")
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def way(
    request: pytest.FixtureRequest, mlflow_with_logins: str, certificate: Path, tmp_path: Path
) -> Iterator[str]:
    """Name the server in the settings as `writer` reaches it in one of several ways; the value is the way."""
    kind: str = request.param
    secure = certificate if kind.startswith("https") else None
    with gateway(lambda _: None, mlflow_with_logins, secure, prefix="/ml") as before:
        address = f"{before.address}/ml"
        login = {"MLFLOW_TRACKING_USERNAME": "writer", "MLFLOW_TRACKING_PASSWORD": "writer-password"}
        if kind == "https, login in the address":
            address, login = address.replace("//", "//writer:writer-password@"), {}
            export({"MLFLOW_TRACKING_SERVER_CERT_PATH": str(certificate)})
        elif kind == "https, login in variables":
            export({"REQUESTS_CA_BUNDLE": str(certificate)})
        else:
            (tmp_path / ".mlflow").mkdir()
            lines = [f"{name.lower()} = {value}" for name, value in login.items()]
            (tmp_path / ".mlflow" / "credentials").write_text("\n".join(["[mlflow]", *lines]))
            # A name that the proxy alone can reach.
            export({"HTTP_PROXY": before.address})
            address, login = "http://mlflow.company.example/ml", {}
        export({"MLFLOW_TRACKING_URI": address, "MLFLOW_WORKSPACE": "team-a", **login})
        yield kind
        assert all("writer-password" not in asked.path for asked in before.asked)
        assert len(before.asked) > 9


@pytest.mark.parametrize(
    "way",
    ["https, login in the address", "https, login in variables", "a proxy, login in the file"],
    indirect=True,
)
def test_the_server_is_examined_by_the_way_that_mlflows_client_takes(way: str) -> None:
    answers = {subject: question() for subject, question in server_questions(EXPERIMENT)}
    assert list(answers) == ["MLflow", "MLflow's runs", "MLflow's models"], way
    assert " is 3." in answers["MLflow"]
    assert ("; it has no encryption: everybody" in answers["MLflow"]) == way.startswith("a proxy")
    assert "stays" not in "".join(answers.values())
    _nothing_is_left()


def _nothing_is_left() -> None:
    configure_mlflow()
    client = MlflowClient()
    assert not [model.name for model in client.search_registered_models() if "preflight" in model.name]
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    assert client.search_runs([experiment.experiment_id]) == []
    (*_, run) = client.search_runs([experiment.experiment_id], run_view_type=ViewType.DELETED_ONLY)
    assert (run.info.status, client.list_artifacts(run.info.run_id)) == ("FINISHED", [])


def _answers(server: str, rule: Rule, user: str = "admin") -> dict[str, str]:
    """Return the answers to all questions, or the errors, by a gateway before the server."""
    found = {}
    with gateway(rule, server) as before:
        address = before.address.replace("//", f"//{user}:{user}-password@")
        export({"MLFLOW_TRACKING_URI": address, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"})
        for subject, question in server_questions(EXPERIMENT):
            try:
                found[subject] = question()
            except StatedError as error:
                found[subject] = f"{type(error).__name__}: {error}"
    return found


def test_what_the_user_may_not_do_is_told_with_the_way_out(mlflow_with_logins: str) -> None:
    found = _answers(mlflow_with_logins, lambda _: None, "reader")
    assert " is 3." in found["MLflow"]
    assert found["MLflow's runs"].startswith("PipelineError: a run needs MLflow at http://127.0.0.1:")
    assert "Permission denied': let this user create" in found["MLflow's runs"]
    assert "403" in found["MLflow's models"]
    assert found["MLflow's models"].endswith("let this user create registered models.")


def test_a_method_that_does_not_reach_the_server_is_told(mlflow_with_logins: str) -> None:
    found = _answers(mlflow_with_logins, lambda asked: (501, b"") if asked.method == "PATCH" else None)
    assert found["MLflow"].startswith("PipelineError: the MLflow server at http://127.0.0.1:")
    assert "must be reached by PATCH too, by which a model is finished, but" in found["MLflow"]


def test_a_file_that_comes_back_changed_is_an_error(mlflow_with_logins: str) -> None:
    def framed(asked: Request) -> tuple[int, bytes] | None:
        fetched = asked.method == "GET" and asked.path.endswith(".bin") and "?" not in asked.path
        return (200, b"10000;chunk-signature") if fetched else None

    found = _answers(mlflow_with_logins, framed)
    assert "must give back what it was given but 21 bytes came back for 65536" in found["MLflow's runs"]
    _nothing_is_left()


def test_what_may_not_be_removed_is_told_and_stops_nothing(mlflow_with_logins: str) -> None:
    def keeping(asked: Request) -> tuple[int, bytes] | None:
        removal = asked.method == "DELETE" or asked.path.endswith("runs/delete")
        return (403, b"Permission denied") if removal else None

    found = _answers(mlflow_with_logins, keeping)
    assert "a file came back as it was sent (the file preflight-" in found["MLflow's runs"]
    assert "(its run " in found["MLflow's runs"]
    assert "(the model preflight-" in found["MLflow's models"]


def test_a_server_that_names_a_directory_of_each_machine_is_refused() -> None:
    run = {"info": {"run_id": "3f2a", "artifact_uri": "/mlflow/1/3f2a/artifacts"}, "data": {}}
    with gateway(lambda _: (200, json.dumps({"run": run}).encode())) as proxy:
        export({"HTTP_PROXY": proxy.address, "MLFLOW_TRACKING_URI": "http://mlflow.company.example"})
        (_, (_, question), _) = server_questions(EXPERIMENT, "3f2a")
        with pytest.raises(
            PipelineError, match=r"keep files itself .* names .*/mlflow/1/.*: start it with --se"
        ):
            question()
        assert len(proxy.asked) == 1


def test_an_outage_is_waited_for_and_each_answer_is_said(
    mlflow_with_logins: str, capsys: pytest.CaptureFixture[str]
) -> None:
    away = iter([(503, b"")])
    with gateway(lambda _: next(away, None), mlflow_with_logins) as before:
        address = before.address.replace("//", "//admin:admin-password@")
        export({"MLFLOW_TRACKING_URI": address, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"})
        examine_servers("ingest", "", EXPERIMENT)
    lines = capsys.readouterr().out.splitlines()
    assert "Trying again for 300 s." in lines[0]
    assert [line.partition(":")[0] for line in lines[1:]] == [
        "[ingest] MLflow",
        "[ingest] MLflow's runs",
        "[ingest] MLflow's models",
    ]


@pytest.mark.parametrize("taken", ["taken", "another.history"])
def test_who_may_not_change_the_registered_model_is_told_before_the_training(
    taken: str, mlflow_with_logins: str
) -> None:
    for user in ("admin", "reader"):
        export(
            {
                "MLFLOW_TRACKING_URI": mlflow_with_logins,
                "MLFLOW_TRACKING_USERNAME": user,
                "MLFLOW_TRACKING_PASSWORD": f"{user}-password",
            }
        )
        configure_mlflow()
        if user == "admin":
            MlflowClient().create_registered_model(taken)
            require_changeable(taken.removesuffix(".history"))
            assert MlflowClient().get_registered_model(taken).tags == {}
    require_changeable("free")
    with pytest.raises(
        PipelineError, match=rf"registered model '{taken}' needs .* let this user change it\.$"
    ):
        require_changeable(taken.removesuffix(".history"))


def test_embedded_servers_are_not_asked(capsys: pytest.CaptureFixture[str]) -> None:
    export({"EMBEDDED_SERVERS": "true", "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"})
    examine_servers("ingest", "", EXPERIMENT)
    require_changeable("any")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("date", "answer"),
    [("Mon, 02 Jan 2006 15:04:05 GMT", "must be at most 900 s apart"), (None, ""), ("now", "")],
)
def test_a_clock_that_is_wrong_is_an_error(date: str | None, answer: str) -> None:
    if answer:
        with pytest.raises(PipelineError, match=answer):
            preflight._skew(date, "the server")
    else:
        assert preflight._skew(date, "the server") == "it states no time"


def test_the_store_gives_back_an_object_and_keeps_nothing(store: ObjectStore) -> None:
    export({"MLFLOW_TRACKING_URI": ""})
    assert settings().s3_bucket == store.bucket
    ((subject, question),) = server_questions(EXPERIMENT)
    assert subject == "store's objects"
    assert re.fullmatch(
        f"bucket {store.bucket} of the object store at {store.endpoint} stores, .* deletes them; clocks are . s apart",
        question(),
    )
    assert store.keys("") == []
    export({"S3_BUCKET": "missing"})
    ((_, question),) = server_questions(EXPERIMENT)
    with pytest.raises(PipelineError, match="bucket missing .* create the bucket or set S3_BUCKET"):
        question()
