import os
import stat
from pathlib import Path
from threading import Thread

import pytest

from components.common.errors import PipelineError
from pipelines.local.home import Home, open_lock


def test_one_process_at_a_time_is_between_the_files(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    inside: list[bool] = []

    def enter() -> None:
        with home.mutex():
            inside.append(True)

    with home.mutex():
        other = Thread(target=enter)
        other.start()
        other.join(0.1)
        assert not inside
    other.join()
    assert inside


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_home_must_be_a_directory(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    message = "home must be a directory that can be written but .*file.*--home"
    with pytest.raises(PipelineError, match=message):
        Home(tmp_path / name).prepare()


def test_home_must_be_writable() -> None:
    with pytest.raises(PipelineError, match="home must be a directory that can be written but /proc/home"):
        Home(Path("/proc/home")).prepare()


def test_relative_home_does_not_move_with_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    home = Home(Path("home"))
    monkeypatch.chdir("/")
    assert home.logs == tmp_path / "home" / "logs"


@pytest.mark.parametrize("name", ["mutex", "servers"])
def test_a_lock_that_is_no_file_is_an_error_with_a_way_out_and_what_it_holds_does_not_matter(
    tmp_path: Path, name: str
) -> None:
    home = Home(tmp_path)
    home.prepare()
    lock = home.keeper / name
    lock.unlink(missing_ok=True)
    lock.write_bytes(b"\xff\0 foreign")
    with open_lock(lock) as file:
        file.seek(0)
        assert "foreign" in file.read()
    lock.unlink()
    lock.mkdir()
    with pytest.raises(PipelineError, match=f"keeper/{name} must be a file .*: remove it, or choose another"):
        open_lock(lock)


def test_what_killed_commands_left_half_written_is_swept_when_the_home_is_taken(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.prepare()
    home.checkpoints.mkdir(exist_ok=True)
    for directory in (home.path, home.keeper, home.checkpoints):
        (directory / ".state.npz.1.partial").touch()
        os.utime(directory / ".state.npz.1.partial", (0, 0))
    home.prepare()
    assert list(home.path.rglob(".*.partial")) == []


def test_a_home_is_closed_to_other_users(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made, wide, shared = (Home(tmp_path / name) for name in ("made", "wide", "shared"))
    wide.store.mkdir(parents=True)
    for name in ("platform.json", "platform.json.damaged", ".platform.json.1.partial"):
        (wide.path / name).touch()
    (shared.path / "project").mkdir(parents=True)
    for path in (wide.path, wide.store, shared.path):
        path.chmod(0o755)
    for _ in range(2):
        for home in (made, wide, shared):
            home.prepare()
            assert {stat.S_IMODE(path.stat().st_mode) for path in (home.store, home.keeper)} == {0o700}
    assert [stat.S_IMODE(home.path.stat().st_mode) for home in (made, wide, shared)] == [0o700, 0o700, 0o755]
    said = capsys.readouterr().err.splitlines()
    assert said == [
        f"{path} was open to other users (mode 0755) and is closed to them now"
        for path in (wide.path, wide.store)
    ]


def test_a_home_is_not_made_where_others_could_replace_its_files(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    tmp_path.chmod(0o1777)
    with pytest.raises(PipelineError, match=r"must not be open for writing .*mode 1777.*--home"):
        Home(tmp_path).prepare()
    assert [path.name for path in tmp_path.iterdir()] == ["project"]
