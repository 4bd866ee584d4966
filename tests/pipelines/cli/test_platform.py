import json
import os
from pathlib import Path

import pytest

from pipelines.local.home import Home
from pipelines.local.platform import Platform
from tests.pipelines.cli.test_main import CommandLine, mnist_pipeline

__all__ = ["mnist_pipeline"]


@pytest.fixture(autouse=True)
def no_servers_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("S3_ENDPOINT_URL", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


def test_status_says_what_runs_who_uses_it_and_what_it_takes(
    mnist_pipeline: CommandLine, platform: Platform, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mnist_pipeline("status", "--home", str(home.path)) == 0
    printed = capsys.readouterr().out
    assert f"mlflow    {platform.tracking_uri}\n" in printed
    assert f"store     {platform.s3_endpoint_url}\n" in printed
    assert f"process {os.getpid()}, since 20" in printed
    assert "s after its last use" in printed

    assert mnist_pipeline("status", "--home", str(home.path), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["servers"]["mlflow"]["address"] == platform.tracking_uri
    assert told["servers"]["store"]["port"] == int(platform.s3_endpoint_url.rpartition(":")[2])
    assert os.getpid() in [client["pid"] for client in told["clients"]]
    assert told["disk"]["mlflow"] > 100_000


def test_up_keeps_what_runs_and_down_refuses_while_it_is_used(
    mnist_pipeline: CommandLine, platform: Platform, home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        assert mnist_pipeline("up", "--home", str(home.path)) == 0
        assert platform.tracking_uri in capsys.readouterr().out
        assert home.kept_until_down.exists()
        assert mnist_pipeline("down", "--home", str(home.path)) == 1
        refused = capsys.readouterr().err
        assert refused.startswith(
            f"error: the servers of {home.path} must be idle to be ended but are used by `"
        )
        assert f"(process {os.getpid()}, since " in refused
        assert refused.count("\n") == 1
        assert home.kept_until_down.exists()
    finally:
        home.kept_until_down.unlink(missing_ok=True)


def test_a_home_that_does_not_exist_is_not_made(
    mnist_pipeline: CommandLine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = str(tmp_path / "home")
    assert mnist_pipeline("status", "--home", home) == 0
    assert "none: no server runs" in capsys.readouterr().out
    assert mnist_pipeline("down", "--home", home) == 0
    assert capsys.readouterr().out == f"no server runs in {home}\n"
    assert list(tmp_path.iterdir()) == []
