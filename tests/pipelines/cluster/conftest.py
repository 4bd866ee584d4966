"""A stand-in for Kubeflow, and the command line in this process."""

import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.cli.main import main
from pipelines.cluster import follow
from tests.pipelines.cluster.kubeflow import Kubeflow, serving

COMMIT = "3f2a" * 10


@dataclass
class Outcome:
    """How a command ended, and the lines that it printed."""

    status: int
    out: list[str]
    err: list[str]


CommandLine = Callable[..., Outcome]


@pytest.fixture
def kubeflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Kubeflow]:
    """An empty server, at the address in KF_PIPELINES_ENDPOINT; it fails the test that it does not understand."""
    of_login = ("KFP_TOKEN", "KFP_TOKEN_FILE", "KFP_COOKIE", "KFP_USERNAME", "KFP_PASSWORD", "SSL_CERT_FILE")
    for name in (
        *of_login,
        "KF_PIPELINES_SA_TOKEN_PATH",
        "KF_PIPELINES_UI_ENDPOINT",
        "KUBERNETES_SERVICE_HOST",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("kfp.Client._LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))
    monkeypatch.setattr(follow, "POLL_SECONDS", 0.01)
    monkeypatch.setenv("GIT_SHA", COMMIT)
    kubeflow = Kubeflow()
    with serving(kubeflow) as host:
        monkeypatch.setenv("KF_PIPELINES_ENDPOINT", host)
        yield kubeflow
    assert kubeflow.violations == []


@pytest.fixture
def mnist_pipeline(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[CommandLine]:
    """Run the command line in this process."""

    def run(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["mnist-pipeline", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Outcome(ended.value.code, printed.out.splitlines(), printed.err.splitlines())

    handler = signal.getsignal(signal.SIGTERM)
    yield run
    signal.signal(signal.SIGTERM, handler)
