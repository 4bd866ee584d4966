import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import psutil
import pytest

from components.common.errors import PipelineError, StatedError
from pipelines.local.home import Home
from pipelines.local.keeper import KeeperState
from pipelines.local.keeper_control import end_servers
from pipelines.local.mlflow_api import call_mlflow
from pipelines.local.mlflow_app import LARGEST_CALL, LARGEST_FILE
from pipelines.local.platform import Platform, embedded_platform
from pipelines.local.process import accepts_connections, free_port

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def no_servers_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("S3_ENDPOINT_URL", "S3_BUCKET", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


def get_object(platform: Platform, key: str) -> bytes:
    s3 = boto3.client(
        "s3",
        endpoint_url=platform.environment["S3_ENDPOINT_URL"],
        aws_access_key_id=platform.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=platform.environment["AWS_SECRET_ACCESS_KEY"],
        region_name=platform.environment["AWS_DEFAULT_REGION"],
    )
    return s3.get_object(Bucket=platform.environment["S3_BUCKET"], Key=key)["Body"].read()


def upload_artifact(tracking_uri: str, path: str, content: bytes) -> None:
    url = f"{tracking_uri}/api/2.0/mlflow-artifacts/artifacts/{path}"
    request = urllib.request.Request(url, data=content, method="PUT")
    urllib.request.urlopen(request, timeout=60).close()


def test_steps_find_the_platform_by_their_environment(platform: Platform, home: Home) -> None:
    environment = platform.environment
    assert environment["MLFLOW_TRACKING_URI"] == platform.tracking_uri
    assert environment["S3_ENDPOINT_URL"] == environment["MLFLOW_S3_ENDPOINT_URL"] == platform.s3_endpoint_url
    assert environment["S3_BUCKET"] == platform.bucket == "mnist-pipeline"
    assert environment["CHECKPOINT_DIR"] == str(home.checkpoints)
    assert environment["EMBEDDED_SERVERS"] == "True"


def test_artifacts_pass_through_mlflow_into_the_store(platform: Platform) -> None:
    run = call_mlflow(platform.tracking_uri, "runs/create", {"experiment_id": "0"})["run"]["info"]
    scheme, _, path = run["artifact_uri"].partition(":/")
    assert scheme == "mlflow-artifacts"
    upload_artifact(platform.tracking_uri, f"{path}/report.html", b"<p>report</p>")
    assert get_object(platform, f"mlflow/{path.lstrip('/')}/report.html") == b"<p>report</p>"


def test_mlflows_client_sends_empty_and_large_files(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", platform.tracking_uri)
    client = MlflowClient()
    run_id = client.create_run("0").info.run_id
    sizes = {"empty": 0, "large": LARGEST_CALL + 1}
    for name, size in sizes.items():
        with (tmp_path / name).open("wb") as file:
            file.truncate(size)
        client.log_artifact(run_id, str(tmp_path / name))
    client.set_terminated(run_id)
    assert {file.path: file.file_size or 0 for file in client.list_artifacts(run_id)} == sizes


@pytest.mark.parametrize(
    ("headers", "pieces", "status"),
    [
        ({"Content-Length": str(LARGEST_FILE + 1)}, [], 413),
        ({"Transfer-Encoding": "chunked"}, [b"content"], 411),
    ],
)
def test_a_body_that_could_fill_the_memory_is_refused_before_it_comes(
    platform: Platform, headers: dict[str, str], pieces: list[bytes], status: int
) -> None:
    path = "/api/2.0/mlflow-artifacts/artifacts/file"
    with closing(HTTPConnection(urlsplit(platform.tracking_uri).netloc, timeout=30)) as connection:
        connection.request("PUT", path, pieces, headers, encode_chunked=True)
        assert connection.getresponse().status == status


def test_mlflow_serves_its_pages(platform: Platform) -> None:
    with urllib.request.urlopen(platform.tracking_uri, timeout=60) as page:
        assert b"<title>MLflow</title>" in page.read()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("server", ["tracking_uri", "s3_endpoint_url"])
def test_another_user_gets_no_answer(platform: Platform, server: str) -> None:
    port = int(getattr(platform, server).rpartition(":")[2])
    script = f"""
import os, socket
os.setuid(65534)
client = socket.socket()
client.connect(("127.0.0.1", {port}))
try:
    client.sendall(b"GET /healthcheck HTTP/1.0\\r\\nHost: 127.0.0.1:{port}\\r\\n\\r\\n")
    print(client.recv(100))
except ConnectionError:
    print(b"")
"""
    asked = subprocess.run(
        [sys.executable, "-IS", "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert asked.stdout == "b''\n"


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/api/2.0/mlflow/experiments/search?max_results=1", {}, 200),
        ("/ajax-api/3.0/mlflow/assistant/config", {}, 404),
        ("/api/2.0/mlflow/webhooks", {}, 404),
        ("/api/2.0/mlflow/experiments/search?max_results=1", {"Host": "192.168.0.1"}, 403),
        ("/api/2.0/mlflow/experiments/search?max_results=1", {"Host": "localhost"}, 403),
        ("/api/2.0/mlflow/experiments/search?max_results=1", {"Origin": "http://localhost:8000"}, 403),
    ],
)
def test_mlflow_answers_for_runs_and_models_under_its_own_address(
    platform: Platform, path: str, headers: dict[str, str], status: int
) -> None:
    asked = urllib.request.Request(platform.tracking_uri + path, headers=headers)
    try:
        found = urllib.request.urlopen(asked, timeout=60).status
    except urllib.error.HTTPError as error:
        found = error.code
    assert found == status


def test_a_second_client_joins_without_a_store_client_or_mlflow(platform: Platform, home: Home) -> None:
    script = f"""
import pathlib, sys
from pipelines.local.home import Home
from pipelines.local.platform import embedded_platform
with embedded_platform(Home(pathlib.Path({str(home.path)!r}))) as joined:
    print(joined.tracking_uri, joined.environment["AWS_SECRET_ACCESS_KEY"])
    print(sorted({{"boto3", "botocore", "mlflow", "numpy"}} & sys.modules.keys()))
"""
    joined = subprocess.run(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT, check=True
    )
    key = platform.environment["AWS_SECRET_ACCESS_KEY"]
    assert joined.stdout == f"{platform.tracking_uri} {key}\n[]\n"


def test_who_names_an_mlflow_server_shares_the_store_and_who_names_a_store_is_refused(
    platform: Platform, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as named:
        named.setenv("MLFLOW_TRACKING_URI", platform.tracking_uri)
        with embedded_platform(home) as joined:
            assert joined.s3_endpoint_url == platform.s3_endpoint_url
    for name in ("S3_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, platform.environment[name])
    monkeypatch.setenv("S3_BUCKET", "my-bucket")
    refused = r"must be those of this command but run another object store for MLflow for .*wait for these"
    with pytest.raises(PipelineError, match=refused), embedded_platform(home):
        pass


@pytest.mark.parametrize("variable", ["S3_ENDPOINT_URL", "MLFLOW_TRACKING_URI"])
def test_named_server_that_does_not_answer_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, f"http://127.0.0.1:{free_port(0)}")
    with pytest.raises(StatedError, match=f"correct {variable}.*unset"), embedded_platform(Home(tmp_path)):
        pass


def test_named_servers_are_used_and_nothing_is_started(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in platform.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("S3_BUCKET", "my-bucket")
    monkeypatch.setenv("CHECKPOINT_DIR", "s3://bucket/checkpoints")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "company.pem")
    home = Home(tmp_path)
    with embedded_platform(home) as named:
        assert (named.tracking_uri, named.bucket) == (platform.tracking_uri, "my-bucket")
        assert named.environment["AWS_SECRET_ACCESS_KEY"] == platform.environment["AWS_SECRET_ACCESS_KEY"]
        assert named.environment["CHECKPOINT_DIR"] == "s3://bucket/checkpoints"
        # The steps run in another directory, and examine the servers first.
        assert named.environment["REQUESTS_CA_BUNDLE"] == str(Path("company.pem").resolve())
        assert named.environment["EMBEDDED_SERVERS"] == "False"
    assert list(home.logs.iterdir()) == []


def test_killed_client_and_keeper_leave_the_data_and_the_dead_clients_run_is_closed(tmp_path: Path) -> None:
    script = f"""
import pathlib, time
from pipelines.local.clients import registered_client
from pipelines.local.home import Home
from pipelines.local.platform import embedded_platform
home = Home(pathlib.Path({str(tmp_path)!r}))
home.prepare()
with registered_client(home, queued=True) as client, embedded_platform(home, client) as platform:
    client.announce("killed")
    print(platform.tracking_uri, platform.s3_endpoint_url, flush=True)
    time.sleep(300)
"""
    home = Home(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as client:
        assert client.stdout is not None
        urls = client.stdout.readline().split()
        upload_artifact(urls[0], "kept.txt", b"kept")
        tags = [{"key": "step", "value": "pipeline"}]
        run = {"experiment_id": "0", "run_name": "killed", "tags": tags}
        run_id = call_mlflow(urls[0], "runs/create", run)["run"]["info"]["run_id"]
        state = KeeperState.load(home)
        assert state
        keeper = psutil.Process(state.pid)
        keeper.kill()
        client.kill()
        keeper.wait(30)

    with embedded_platform(home) as platform:
        assert [platform.tracking_uri, platform.s3_endpoint_url] == urls
        assert get_object(platform, "mlflow/kept.txt") == b"kept"
        deadline = time.monotonic() + 30
        while True:
            (found,) = call_mlflow(urls[0], "runs/search", {"experiment_ids": ["0"]})["runs"]
            if found["info"]["status"] == "KILLED" or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        assert (found["info"]["run_id"], found["info"]["status"]) == (run_id, "KILLED")
    assert end_servers(home)
    assert not any(accepts_connections(int(url.rpartition(":")[2])) for url in urls)


def test_a_workspace_is_for_a_named_server_alone(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_WORKSPACE", "team-a")
    assert platform.environment["MLFLOW_WORKSPACE"] == ""
    assert call_mlflow(platform.tracking_uri, "experiments/search", {"max_results": 1})["experiments"]
    for name in ("S3_ENDPOINT_URL", "MLFLOW_TRACKING_URI", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, platform.environment[name])
    with (
        pytest.raises(PipelineError, match="workspaces are not enabled on this server"),
        embedded_platform(Home(tmp_path / "home")),
    ):
        pass
