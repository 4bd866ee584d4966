from pathlib import Path

import pytest

from pipelines.cli import doctor
from pipelines.cli.doctor import Finding, examine
from pipelines.local.platform import Platform
from pipelines.local.process import free_port


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory that commands are looked for in."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", str(directory))
    return directory


@pytest.fixture
def own_home(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that needs no servers of its own: the environment names the session's."""
    for name, value in platform.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MNIST_DATA_URI", "/data/mnist")
    return tmp_path / "home"


def _command(path: Path, name: str, script: str) -> None:
    command = path / name
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)


def _examine(home: Path) -> dict[str, Finding]:
    return {finding.subject: finding for finding in examine(home)}


def test_a_complete_machine_has_only_positive_findings(
    platform: Platform, own_home: Path, path: Path
) -> None:
    _command(path, "docker", "echo 28.1.1")
    _command(path, "kubectl", "echo 'Client Version: v1.36.1'; echo 'Server Version: v1.33.2'")

    findings = _examine(own_home)

    assert all(finding.ok for finding in findings.values())
    assert [finding.line()[:7] for finding in findings.values()] == ["ok     "] * 10
    assert findings["object store"].detail == f"{platform.s3_endpoint_url}, bucket {platform.bucket}"
    assert findings["MLflow"].detail.startswith(f"{platform.tracking_uri} is 3.")
    assert findings["MLflow's runs"].detail == "one was made; a file came back as it was sent"
    assert findings["data"].detail == "MNIST from MNIST_DATA_URI, /data/mnist"
    assert findings["container engine"].detail == "28.1.1"
    assert findings["cluster"].detail == "Server Version: v1.33.2"


@pytest.mark.usefixtures("path")
def test_a_requirement_that_a_run_does_not_need_is_not_fatal(own_home: Path) -> None:
    findings = _examine(own_home)
    missing = {subject: finding for subject, finding in findings.items() if not finding.ok}
    assert missing.keys() == {"container engine", "cluster"}
    assert not any(finding.fatal for finding in missing.values())
    assert missing["cluster"].line() == (
        "missing  cluster           no kubectl: install kubectl and choose a context; only submission needs it"
    )


def test_a_command_that_fails_is_quoted(own_home: Path, path: Path) -> None:
    _command(path, "kubectl", "echo trying >&2; echo 'connection refused' >&2; exit 1")
    _command(path, "docker", "exit 1")
    findings = _examine(own_home)
    assert findings["cluster"].detail.startswith("connection refused: install kubectl")
    assert findings["container engine"].detail.startswith("docker: start dockerd")


def test_a_command_that_hangs_is_given_up(
    own_home: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "COMMAND_SECONDS", 0.1)
    _command(path, "docker", "exec /bin/sleep 60")
    finding = _examine(own_home)["container engine"]
    assert not finding.ok
    assert finding.detail.startswith("docker does not answer: ")


@pytest.mark.usefixtures("path")
def test_a_platform_that_does_not_start_is_fatal(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port(0)}")
    finding = _examine(own_home)["object store and MLflow"]
    assert (finding.ok, finding.fatal) == (False, True)
    assert "no MLflow server answers" in finding.detail


@pytest.mark.usefixtures("path")
def test_a_machine_without_mnist_uses_the_digits(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MNIST_DATA_URI")
    monkeypatch.setattr("components.ingest.sources.MIRRORS", (f"http://127.0.0.1:{free_port(0)}/",))
    finding = _examine(own_home)["data"]
    assert (finding.ok, finding.fatal) == (False, False)
    assert finding.detail == "set MNIST_DATA_URI; without it a run uses the bundled digits"


@pytest.mark.parametrize(("version", "ok"), [((3, 10, 9), False), ((3, 13, 9), True), ((3, 14, 0), False)])
def test_a_python_without_tensorflow_is_told(
    version: tuple[int, int, int], ok: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.version_info", version)
    assert doctor._python().ok is ok
