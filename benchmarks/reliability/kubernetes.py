"""An API server of Kubernetes of one's own, with etcd and the controllers that a namespace needs; no node."""

import json
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipelines.local.process import free_port

ADMINISTRATOR = "administrator"
PATIENCE = 60.0
CONTROLLERS = "namespace,resourcequota,serviceaccount,serviceaccount-token,root-ca-cert-publisher"


@dataclass(frozen=True)
class Answer:
    """What the API server said."""

    status: int
    body: dict[str, Any]

    @property
    def denied(self) -> bool:
        """Whether the account may not do this, or nobody may in this namespace."""
        return self.status in {401, 403}


@dataclass(frozen=True)
class ApiServer:
    """A running API server.

    Attributes:
        address: Its address.
        certificate: File with the certificate that it made for itself.
    """

    address: str
    certificate: Path

    def ask(
        self, method: str, path: str, body: dict[str, Any] | None = None, token: str = ADMINISTRATOR
    ) -> Answer:
        """Send one request in the name of a token's account."""
        trusted = ssl.create_default_context(cafile=self.certificate)
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        request = urllib.request.Request(  # noqa: S310
            self.address + path,
            None if body is None else json.dumps(body).encode(),
            {"Authorization": f"Bearer {token}", "Content-Type": kind},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, context=trusted) as answer:  # noqa: S310
                return Answer(answer.status, json.load(answer))
        except urllib.error.HTTPError as error:
            text = error.read().decode()
            # Of a path that it does not know, it says so as plain text.
            return Answer(error.code, json.loads(text) if text.startswith("{") else {"message": text})

    def token(self, namespace: str, account: str) -> str:
        """Return a token of a service account, as its pods get it."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        return str(self.ask("POST", path, body).body["status"]["token"])

    def wait_for(self, what: str, holds: Callable[[], bool]) -> None:
        """Wait until something holds.

        Raises:
            TimeoutError: It does not.
        """
        deadline = time.monotonic() + PATIENCE
        while not holds():
            if time.monotonic() > deadline:
                raise TimeoutError(f"the API server must have {what} within {PATIENCE:.0f} s but has not")
            time.sleep(0.2)

    def is_ready(self) -> bool:
        """Return whether it answers requests."""
        try:
            return (
                self.ask("GET", "/version").status == 200
                and self.ask("GET", "/api/v1/namespaces").status == 200
            )
        except OSError:
            return False


@contextmanager
def api_server(programs: Path) -> Iterator[ApiServer]:
    """Start etcd, an API server with role-based access and its controllers, and stop them at the end.

    Args:
        programs: Directory with etcd, kube-apiserver and kube-controller-manager.

    Raises:
        TimeoutError: The API server does not get ready.
    """
    with tempfile.TemporaryDirectory() as directory, ExitStack() as started:
        work = Path(directory)
        key = work / "key.pem"
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
        (work / "tokens.csv").write_text(f"{ADMINISTRATOR},{ADMINISTRATOR},0,system:masters\n")
        store, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        port = free_port()
        server = ApiServer(f"https://127.0.0.1:{port}", work / "certificates" / "apiserver.crt")
        context = {"cluster": "it", "user": ADMINISTRATOR}
        login = {
            "clusters": [
                {"name": "it", "cluster": {"server": server.address, "insecure-skip-tls-verify": True}}
            ],
            "users": [{"name": ADMINISTRATOR, "user": {"token": ADMINISTRATOR}}],
            "contexts": [{"name": "it", "context": context}],
            "current-context": "it",
        }
        (work / "login.yaml").write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **login}))
        commands = {
            "etcd": {
                "data-dir": work / "etcd",
                "listen-client-urls": store,
                "advertise-client-urls": store,
                "listen-peer-urls": peer,
                "initial-advertise-peer-urls": peer,
                "initial-cluster": f"default={peer}",
            },
            "kube-apiserver": {
                "etcd-servers": store,
                "bind-address": "127.0.0.1",
                "secure-port": port,
                "cert-dir": work / "certificates",
                "service-cluster-ip-range": "10.0.0.0/24",
                "authorization-mode": "RBAC",
                "token-auth-file": work / "tokens.csv",
                "service-account-issuer": "https://kubernetes.default.svc",
                "service-account-signing-key-file": key,
                "service-account-key-file": key,
            },
            "kube-controller-manager": {
                "kubeconfig": work / "login.yaml",
                "service-account-private-key-file": key,
                "controllers": CONTROLLERS,
                "leader-elect": "false",
                "bind-address": "127.0.0.1",
                "secure-port": free_port(),
            },
        }
        for name, options in commands.items():
            log = started.enter_context((work / f"{name}.log").open("wb"))
            command = [str(programs / name), *(f"--{option}={value}" for option, value in options.items())]
            process = started.enter_context(subprocess.Popen(command, stdout=log, stderr=log))
            started.callback(process.terminate)
            if name == "kube-apiserver":
                server.wait_for("got ready", server.is_ready)
        yield server
