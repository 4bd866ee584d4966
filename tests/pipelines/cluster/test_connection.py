import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from pipelines.cluster import connection
from tests.gateways import gateway
from tests.pipelines.cluster.conftest import CommandLine
from tests.pipelines.cluster.kubeflow import Kubeflow, serving

LIST = ("schedule", "list")


def _one_line(mnist_pipeline: CommandLine, *arguments: str) -> str:
    started = time.monotonic()
    done = mnist_pipeline(*arguments)
    assert time.monotonic() - started < 15
    assert (done.status, done.out) == (1, [])
    (line,) = done.err
    assert line.startswith("error: ")
    return line


@pytest.fixture
def silent() -> Iterator[str]:
    """A host that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_host_where_nobody_listens(kubeflow: Kubeflow, mnist_pipeline: CommandLine) -> None:
    del kubeflow
    line = _one_line(mnist_pipeline, *LIST, "--host", "http://127.0.0.1:9")
    assert line.startswith("error: no Kubeflow Pipelines answers at http://127.0.0.1:9 (")
    assert "Connection refused" in line


def test_a_host_that_has_no_address(kubeflow: Kubeflow, mnist_pipeline: CommandLine) -> None:
    del kubeflow
    line = _one_line(mnist_pipeline, *LIST, "--host", "kubeflow.invalid")
    assert line.startswith("error: no Kubeflow Pipelines answers at https://kubeflow.invalid (")


def test_a_host_that_never_answers(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    del kubeflow
    monkeypatch.setattr(connection, "READ_SECONDS", 0.2)
    line = _one_line(mnist_pipeline, *LIST, "--host", silent)
    assert line.startswith(f"error: no Kubeflow Pipelines answers at {silent} (")
    assert "timed out" in line


def test_a_server_that_stops_answering(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "READ_SECONDS", 0.2)
    kubeflow.stall = 0.6
    assert "Read timed out" in _one_line(mnist_pipeline, *LIST)
    assert len(kubeflow.requests) == 3  # two of them for its health


@contextmanager
def _page(status: int, headers: dict[str, str]) -> Iterator[str]:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"<html>Log in")

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "headers", "message"),
    [
        (
            200,
            {"Content-Type": "text/html"},
            "must be the API of Kubeflow Pipelines but answers with text/html",
        ),
        (
            404,
            {"Content-Type": "text/html"},
            "must be the API of Kubeflow Pipelines but answers with HTTP 404",
        ),
        (302, {"Location": "/login"}, "refuses the login (HTTP 302"),
        (403, {"Content-Type": "text/html"}, "forbids that (HTTP 403"),
    ],
)
def test_a_login_page_is_not_taken_for_kubeflow(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine, status: int, headers: dict[str, str], message: str
) -> None:
    del kubeflow
    with _page(status, headers) as host:
        line = _one_line(mnist_pipeline, *LIST, "--host", host)
    assert message in line
    assert "give a token in KFP_TOKEN or --token-file, a session in KFP_COOKIE, or" in line


def test_a_certificate_is_trusted_when_it_is_named(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(kubeflow, certificate) as host:
        line = _one_line(mnist_pipeline, "submit", "--host", host)
        assert line.startswith(f"error: no trusted connection to {host} (")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert mnist_pipeline("submit", "--host", host).status == 0
    assert len(kubeflow.runs) == 1


def test_the_proxy_of_the_environment_is_used_except_on_this_machine(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with gateway(lambda _: (403, b"")) as proxy, serving(kubeflow) as host:
        monkeypatch.setenv("HTTP_PROXY", proxy.address.replace("//", "//me:s3cret@"))
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        assert mnist_pipeline(*LIST, "--host", host).status == 0
        assert proxy.asked == []
        line = _one_line(mnist_pipeline, *LIST, "--host", "http://kubeflow.internal")
    assert proxy.asked[0].path == "http://kubeflow.internal/apis/v2beta1/healthz"
    assert proxy.asked[0].headers["proxy-authorization"] == "Basic bWU6czNjcmV0"
    assert "s3cret" not in line


@pytest.mark.parametrize("token", ["", "expired"])
def test_a_token_that_is_not_accepted(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KFP_TOKEN", token)
    kubeflow.token = "good"
    line = _one_line(mnist_pipeline, "submit")
    assert line.endswith(
        "refuses the login (HTTP 401: Unauthenticated: the token has expired): give a token in KFP_TOKEN or "
        "--token-file, a session in KFP_COOKIE, or KFP_USERNAME and KFP_PASSWORD for Dex."
    )
    assert kubeflow.runs == []


def test_a_token_comes_from_the_environment_or_a_file(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeflow.token = "good"
    file = tmp_path / "token"
    file.write_text("good\n")
    assert mnist_pipeline(*LIST, "--token-file", str(file)).status == 0
    monkeypatch.setenv("KFP_TOKEN", "good")
    assert mnist_pipeline(*LIST).status == 0
    line = _one_line(mnist_pipeline, *LIST, "--token-file", str(tmp_path / "none"))
    assert line.startswith("error: --token-file must be a file with a token but ")


def test_a_token_that_a_network_can_read_is_warned_of(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeflow.token = "good"
    monkeypatch.setenv("KFP_TOKEN", "good")
    host = os.environ["KF_PIPELINES_ENDPOINT"]
    assert mnist_pipeline("schedule", "list").err == []
    elsewhere = f"http://0.0.0.0:{host.rpartition(':')[2]}"
    done = mnist_pipeline("schedule", "list", "--host", elsewhere)
    assert done.status == 0
    assert done.err == [f"warning: {elsewhere} has no encryption: everybody on the way can read the login"]


def test_a_pod_asks_the_kubeflow_of_its_cluster_with_its_own_token_and_namespace(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeflow.token, kubeflow.multi_user = "of the pod", True
    kubeflow.add_experiment("Default", namespace="me")
    token, namespace = tmp_path / "token", tmp_path / "namespace"
    token.write_text("of the pod\n")
    namespace.write_text("me")
    monkeypatch.setattr(connection, "IN_CLUSTER", os.environ["KF_PIPELINES_ENDPOINT"])
    monkeypatch.setattr(connection, "TOKEN_FILE", token)
    monkeypatch.setattr(connection, "NAMESPACE_FILE", namespace)
    monkeypatch.delenv("KF_PIPELINES_ENDPOINT")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KF_PIPELINES_UI_ENDPOINT", "https://kubeflow.example.org/pipeline/")
    done = mnist_pipeline("submit")
    assert (done.status, done.err) == (0, [])
    (run,) = kubeflow.runs
    assert done.out[0].endswith(f"https://kubeflow.example.org/pipeline/#/runs/details/{run['run_id']}")
    # Where kfp's client looks for the token, and where it is given.
    monkeypatch.setattr(connection, "TOKEN_FILE", tmp_path / "none")
    assert "refuses the login" in _one_line(mnist_pipeline, *LIST)
    monkeypatch.setenv("KF_PIPELINES_SA_TOKEN_PATH", str(token))
    assert mnist_pipeline(*LIST).status == 0
    # Who has told kubectl of a cluster means that one.
    monkeypatch.setenv("KUBECONFIG", "another")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "kubectl must be installed" in _one_line(mnist_pipeline, *LIST)


def test_where_kubeflow_serves_several_users_a_profile_is_named(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine
) -> None:
    kubeflow.multi_user = True
    kubeflow.add_experiment("mine", namespace="me")
    assert "--namespace must name your profile" in _one_line(mnist_pipeline, "submit")
    assert mnist_pipeline("submit", "--namespace", "me", "--experiment", "mine").status == 0
    assert len(kubeflow.runs) == 1


def test_what_the_server_refuses_is_its_first_line(kubeflow: Kubeflow, mnist_pipeline: CommandLine) -> None:
    kubeflow.failures = [500]
    line = _one_line(mnist_pipeline, *LIST)
    assert line.endswith(
        "refused a request (HTTP 500: as the test wants it): correct the command, or read the log of the server."
    )


KUBECTL = """#!/usr/bin/env python3
import sys, time
assert sys.argv[1:-1] == "port-forward --namespace kubeflow service/ml-pipeline-ui".split(), sys.argv
local_port, remote_port = sys.argv[-1].split(":")
assert remote_port == "80"
{body}
"""


def _kubectl(directory: Path, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    command = directory / "kubectl"
    command.write_text(KUBECTL.format(body=body))
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    monkeypatch.delenv("KF_PIPELINES_ENDPOINT")


def _told_of_tunnel(host: str) -> str:
    return (
        f"warning: while this command runs, every user of this machine can reach Kubeflow by {host}: "
        "give --host where others use it"
    )


def test_without_a_host_kubectl_forwards_a_port_for_as_long_as_the_command_lasts(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = os.environ["KF_PIPELINES_ENDPOINT"].removeprefix("http://")
    body = f"""
import os, pathlib
pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(os.getpid()))
print("Forwarding from {address} -> 3000", flush=True)
time.sleep(60)
"""
    _kubectl(tmp_path, body, monkeypatch)
    done = mnist_pipeline("submit")
    assert (done.status, done.err) == (0, [_told_of_tunnel(f"http://{address}")])
    assert len(kubeflow.runs) == 1
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_forward_that_ends_while_a_run_is_followed_is_opened_again_on_its_port(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As kubectl does when Kubeflow's pod is replaced: it ends at the next connection."""
    kubeflow.progress = [{"state": "PENDING"}, {"state": "RUNNING"}, {"state": "SUCCEEDED"}]
    ports = tmp_path / "ports"
    body = f"""
import os, pathlib, socket, threading
listener = socket.create_server(("127.0.0.1", int(local_port or 0)))
port = listener.getsockname()[1]
ports = pathlib.Path({str(ports)!r})
first = not ports.exists()
with ports.open("a") as file:
    print(local_port or "any", port, file=file)
print(f"Forwarding from 127.0.0.1:{{port}} -> 3000", flush=True)
asked = []
def pump(source, sink):
    while data := source.recv(65536):
        if data.startswith(b"GET /apis/v2beta1/runs/"):
            asked.append(data)
            if first and len(asked) == 2:
                print("error: lost connection to pod", flush=True)
                os._exit(1)
        sink.sendall(data)
    sink.shutdown(socket.SHUT_WR)
while True:
    near, _ = listener.accept()
    far = socket.create_connection(("127.0.0.1", {os.environ["KF_PIPELINES_ENDPOINT"].rpartition(":")[2]}))
    for ends in ((near, far), (far, near)):
        threading.Thread(target=pump, args=ends, daemon=True).start()
"""
    _kubectl(tmp_path, body, monkeypatch)
    done = mnist_pipeline("submit", "--wait")
    assert {line.partition(":")[0] for line in done.out[1:-1]} == {"waiting    Kubeflow does not answer"}
    assert done.out[-1] == "the run has succeeded"
    first, second = (line.split() for line in ports.read_text().splitlines())
    assert (done.status, done.err) == (0, [_told_of_tunnel(f"http://127.0.0.1:{first[1]}")])
    assert first[0] == "any"
    assert second == [first[1], first[1]]


def test_a_forward_that_fails_says_why(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del kubeflow
    _kubectl(tmp_path, 'sys.exit("Error: services \\"ml-pipeline-ui\\" not found")', monkeypatch)
    line = _one_line(mnist_pipeline, *LIST)
    assert 'failed (Error: services "ml-pipeline-ui" not found): give --host' in line
