"""Requests to an MLflow server: what they carry and trust is what those of MLflow's own client do."""

import time
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from components.common.errors import PipelineError, UnavailableError
from components.common.settings import Settings, settings, variables_of
from components.common.tracking.client import configure_mlflow
from pipelines.local.mlflow_request import request_mlflow
from pipelines.models.reader import open_reader
from tests.gateways import Gateway, gateway

FILE = "[mlflow]\nmlflow_tracking_username = kept\nmlflow_tracking_password = p%%w\n"
CARRIED = ("authorization", "x-mlflow-workspace")


@pytest.fixture(autouse=True)
def no_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clear the variables, which are restored at the end, and the home directory."""
    of_mlflow = ("MLFLOW_S3_ENDPOINT_URL", "MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT")
    for name in (
        *(name for field in Settings.model_fields for name in variables_of(field)),
        *of_mlflow,
        "no_proxy",
    ):
        monkeypatch.setenv(name, "restored at the end")
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


def ask() -> bytes:
    """Ask as a command does that reads MLflow's address from the settings."""
    return request_mlflow(str(settings().mlflow_tracking_uri), "version", None, seconds=5)


def ask_for_experiments() -> bytes:
    """Ask what a server with workspaces answers for one of them."""
    path = "api/2.0/mlflow/experiments/search?max_results=1"
    return request_mlflow(str(settings().mlflow_tracking_uri), path, None, seconds=5)


def ask_by_client() -> bytes:
    """Ask as a step does, with MLflow's own client."""
    configure_mlflow()
    found = http_request(
        get_default_host_creds(settings().mlflow_tracking_uri), "/version", "GET", max_retries=0
    )
    return bytes(found.content)


@pytest.mark.parametrize(
    ("variables", "login"),
    [
        ({}, None),
        ({"MLFLOW_TRACKING_TOKEN": "token"}, "Bearer token"),
        ({"MLFLOW_TRACKING_USERNAME": "u", "MLFLOW_TRACKING_PASSWORD": "p"}, "Basic dTpw"),
        (
            {"MLFLOW_TRACKING_TOKEN": "t", "MLFLOW_TRACKING_USERNAME": "u", "MLFLOW_TRACKING_PASSWORD": "p"},
            "Basic dTpw",
        ),
        ({"MLFLOW_TRACKING_TOKEN": "t", "MLFLOW_TRACKING_USERNAME": "u"}, "Bearer t"),
        (
            {"login": "u:p@", "MLFLOW_TRACKING_USERNAME": "other", "MLFLOW_TRACKING_PASSWORD": "o"},
            "Basic dTpw",
        ),
        ({"login": "u:p%40@"}, "Basic dTpwQA=="),
        ({"file": FILE}, "Basic a2VwdDpwJXc="),
        ({"file": FILE, "MLFLOW_TRACKING_USERNAME": "u", "MLFLOW_TRACKING_PASSWORD": "p"}, "Basic dTpw"),
        ({"MLFLOW_WORKSPACE": "team-a"}, None),
    ],
)
def test_login_and_workspace_are_those_of_mlflows_client(
    variables: dict[str, str], login: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".mlflow").mkdir()
    if file := variables.get("file"):
        (tmp_path / ".mlflow" / "credentials").write_text(file)
    for name, value in variables.items():
        if name.isupper():
            monkeypatch.setenv(name, value)
    with gateway(lambda _: (200, b"3.17.2")) as server:
        address = server.address.replace("//", f"//{variables.get('login', '')}")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address + "/")
        assert ask() == ask_by_client() == b"3.17.2"
        carried, by_client = ([asked.headers.get(name) for name in CARRIED] for asked in server.asked)
    assert carried == by_client == [login, variables.get("MLFLOW_WORKSPACE")]


@pytest.mark.parametrize(
    ("variable", "trusted"),
    [
        ("MLFLOW_TRACKING_SERVER_CERT_PATH", True),
        ("MLFLOW_TRACKING_INSECURE_TLS", True),
        ("REQUESTS_CA_BUNDLE", True),
        ("CURL_CA_BUNDLE", True),
        ("UNKNOWN", False),
    ],
)
@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_certificates_are_trusted_as_mlflows_client_does(
    variable: str, trusted: bool, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "true" if "INSECURE" in variable else str(certificate))
    with gateway(lambda _: (200, b"3.17.2"), certificate=certificate) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
        if trusted:
            assert ask() == ask_by_client()
            return
        with pytest.raises(
            PipelineError, match="CERTIFICATE_VERIFY_FAILED.*MLFLOW_TRACKING_SERVER_CERT_PATH"
        ):
            ask()
        with pytest.raises(MlflowException, match="CERTIFICATE_VERIFY_FAILED"):
            ask_by_client()


def test_a_certificate_of_the_client_is_shown(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(certificate))
    with gateway(lambda _: (200, b"3"), certificate=certificate, client=certificate) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
        with pytest.raises((PipelineError, UnavailableError)):
            ask()
        monkeypatch.setenv("MLFLOW_TRACKING_CLIENT_CERT_PATH", str(certificate))
        assert ask() == ask_by_client() == b"3"


@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_SERVER_CERT_PATH", "MLFLOW_TRACKING_CLIENT_CERT_PATH"])
def test_a_file_of_certificates_that_is_missing_is_a_mistake(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://127.0.0.1:9")
    monkeypatch.setenv(variable, "/none.pem")
    with pytest.raises(PipelineError, match=r"/none\.pem"):
        ask()


def test_a_command_reads_a_workspace_by_login_tls_and_prefix(
    mlflow_with_logins: str, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with gateway(lambda _: None, mlflow_with_logins, certificate, prefix="/ml") as server:
        monkeypatch.setenv(
            "MLFLOW_TRACKING_URI", f"{server.address}/ml".replace("//", "//writer:writer-password@", 1)
        )
        monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(certificate))
        monkeypatch.setenv("MLFLOW_WORKSPACE", "team-a")
        configure_mlflow()
        client = MlflowClient()
        client.create_run(client.create_experiment("read"), run_name="of team-a", tags={"step": "pipeline"})
        with open_reader(tmp_path) as reader:
            assert [run.name for run in reader.pipeline_runs(10)] == ["of team-a"]
        monkeypatch.setenv("MLFLOW_WORKSPACE", "default")
        with open_reader(tmp_path) as reader:
            assert reader.pipeline_runs(10) == []
        monkeypatch.setenv("MLFLOW_WORKSPACE", "missing")
        with pytest.raises(PipelineError, match=r"'missing' not found\): correct MLFLOW_WORKSPACE, or unset"):
            ask_for_experiments()


def test_no_error_shows_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusals(running: Gateway) -> list[str]:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", running.address.replace("//", "//alice:s3cret@"))
        found = []
        for kind in (PipelineError, UnavailableError):
            with pytest.raises(kind) as raised:
                ask()
            found.append(str(raised.value))
        return found

    answers = iter([(401, b""), *[(503, b"")] * 3])
    with gateway(lambda _: next(answers)) as server:
        refused = refusals(server)
    with pytest.raises(UnavailableError) as away:
        ask()
    assert not [text for text in (*refused, str(away.value)) if "s3cret" in text or "alice" in text]
    assert "HTTP 401" in refused[0]
    assert "HTTP 503" in refused[1]


def test_an_outage_is_tried_again() -> None:
    answers = iter([(503, b""), (429, b""), (200, b"3")])
    with gateway(lambda _: next(answers)) as server:
        assert request_mlflow(server.address, "version", {"a": 1}, seconds=5) == b"3"
        assert [asked.body for asked in server.asked] == [b'{"a": 1}'] * 3


def test_an_answer_that_does_not_end_has_a_bound() -> None:
    def slow(_: object) -> tuple[int, bytes]:
        time.sleep(0.5)
        return 200, b""

    with (
        gateway(slow) as server,
        pytest.raises(UnavailableError, match=r"Read timed out|timed out|longer than"),
    ):
        request_mlflow(server.address, "version", None, seconds=0.05)


def test_a_damaged_file_of_credentials_is_an_error_that_does_not_show_it(tmp_path: Path) -> None:
    (tmp_path / ".mlflow").mkdir()
    (tmp_path / ".mlflow" / "credentials").write_text("[mlflow]\ns3cret\n")
    with pytest.raises(PipelineError, match="must be a file of MLflow's credentials") as raised:
        request_mlflow("http://127.0.0.1:9", "version", None, seconds=1)
    assert "s3cret" not in str(raised.value)
