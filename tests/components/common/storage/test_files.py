import hashlib
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import pytest

from components.common.errors import PipelineError
from components.common.storage.files import (
    combined_digest,
    inside,
    sha256_file,
    sweep_partial,
    written_directory,
    written_file,
)


def test_the_digest_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_file(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_the_combined_digest_is_that_of_the_sorted_lines() -> None:
    expected = hashlib.sha256(b"11  b\n22  a\n").hexdigest()
    assert combined_digest({"a": "22", "b": "11"}) == expected
    assert combined_digest({"b": "11", "a": "22"}) == expected
    assert combined_digest({"a": "11", "b": "22"}) != expected


@pytest.mark.parametrize("prepare", ["missing", "empty", "parent missing"])
def test_a_directory_appears_whole(tmp_path: Path, prepare: str) -> None:
    target = tmp_path / "parent" / "target" if prepare == "parent missing" else tmp_path / "target"
    if prepare == "empty":
        target.mkdir()
    with written_directory(target) as partial:
        (partial / "file").write_text("content")
        assert not (target / "file").exists()
    assert (target / "file").read_text() == "content"
    assert list(target.parent.iterdir()) == [target]


def test_a_directory_is_as_open_as_any_other(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    with written_directory(tmp_path / "target"):
        pass
    assert (tmp_path / "target").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_failing_block_leaves_no_directory(tmp_path: Path) -> None:
    with suppress(RuntimeError), written_directory(tmp_path / "target") as partial:
        (partial / "file").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["file", "directory with a file"])
def test_what_exists_is_not_overwritten(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "target"
    kept = target if kind == "file" else target / "kept"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("kept")
    with (
        pytest.raises(PipelineError, match="target must be a new or an empty directory"),
        written_directory(target),
    ):
        pass
    assert kept.read_text() == "kept"


def test_a_file_is_replaced_only_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("old")
    with suppress(RuntimeError), written_file(target) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    with written_file(target) as partial:
        partial.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("write", [written_file, written_directory])
def test_content_is_on_the_disk_before_it_has_its_name(
    write: Callable[[Path], AbstractContextManager[Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, bool]] = []
    target, sync = tmp_path / "target", os.fsync

    def recording(opened: int) -> None:
        synced.append((Path(f"/proc/self/fd/{opened}").readlink().name, target.exists()))
        sync(opened)

    monkeypatch.setattr(os, "fsync", recording)
    with write(target) as partial:
        file = partial / "file" if partial.is_dir() else partial
        file.write_text("content")
        written = [path.name for path in ([file, partial] if partial.is_dir() else [partial])]
    assert synced == [*((name, False) for name in written), (tmp_path.name, True)]


def test_nothing_waits_for_the_disk_where_the_reader_checks_digests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    monkeypatch.setattr(
        os, "fsync", lambda opened: synced.append(str(Path(f"/proc/self/fd/{opened}").readlink()))
    )
    with written_directory(tmp_path / "target", on_disk=False) as partial:
        (partial / "file").write_text("content")
    assert synced == [str(tmp_path)]
    assert (tmp_path / "target" / "file").read_text() == "content"


def test_only_what_was_left_a_day_ago_is_swept(tmp_path: Path) -> None:
    for name in (".old.1.partial", ".old.2.partial", ".new.3.partial", "kept.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    for name in (".old.1.partial", ".old.2.partial", "kept.partial"):
        os.utime(tmp_path / name, (0, 0))
    sweep_partial(tmp_path)
    sweep_partial(tmp_path / "missing")
    assert {path.name for path in tmp_path.iterdir()} == {".new.3.partial", "kept.partial"}


@pytest.mark.parametrize("name", ["", "../outside", "/etc/outside", "a/../../outside", "a\0b"])
def test_a_name_from_outside_stays_in_its_directory(name: str, tmp_path: Path) -> None:
    assert inside(tmp_path, "model/weights.npz") == tmp_path / "model/weights.npz"
    with pytest.raises(PipelineError, match="must lead into its directory"):
        inside(tmp_path, name)
