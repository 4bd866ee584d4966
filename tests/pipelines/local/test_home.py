import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from components.common.errors import PipelineError
from pipelines.local.home import Home

ROOT = Path(__file__).parents[3]


def test_second_holder_is_told_who_holds_the_home(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with home.locked() as lock:
        with (
            pytest.raises(PipelineError, match=rf"in use by process {os.getpid()}: wait .* --home"),
            home.locked(),
        ):
            pass
        lock.announce("http://127.0.0.1:5001")
        expected = rf"in use by process {os.getpid()} \(MLflow at http://127.0.0.1:5001\): wait"
        with pytest.raises(PipelineError, match=expected), home.locked():
            pass
    with home.locked():
        pass


def test_lock_ends_with_a_killed_holder_though_its_child_lives_on(tmp_path: Path) -> None:
    script = f"""
import pathlib, subprocess
from pipelines.local.home import Home
with Home(pathlib.Path({str(tmp_path)!r})).locked():
    child = subprocess.Popen(["cat"])
    print("locked", flush=True)
    child.wait()
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(PipelineError, match=f"in use by process {holder.pid}:"), Home(tmp_path).locked():
            pass
        holder.kill()
        holder.wait()
        with Home(tmp_path).locked():
            pass


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_home_must_be_a_directory(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    message = "home must be a directory that can be written but .*file.*--home"
    with pytest.raises(PipelineError, match=message), Home(tmp_path / name).locked():
        pass


def test_home_must_be_writable() -> None:
    with pytest.raises(PipelineError, match="home must be a directory that can be written but /proc/home"):
        Home(Path("/proc/home")).locked().__enter__()


def test_relative_home_does_not_move_with_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    home = Home(Path("home"))
    monkeypatch.chdir("/")
    assert home.logs == tmp_path / "home" / "logs"


def test_settings_are_private_and_stay(tmp_path: Path) -> None:
    home = Home(tmp_path)
    settings = home.settings()
    assert home.settings() == settings
    assert len(settings.secret_access_key) == 40
    assert stat.S_IMODE((tmp_path / "platform.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "{", "[]", '{"store_port": 9000}'])
def test_damaged_settings_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "platform.json").write_text(text)
    with pytest.raises(PipelineError, match=r"platform.json must hold .* delete it"):
        Home(tmp_path).settings()
