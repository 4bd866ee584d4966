import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from components.common.bounds import LEAST_FREE, LITTLE_FREE
from components.common.errors import UnavailableError
from pipelines.cli.doctor import examine
from pipelines.local import disk
from pipelines.local.disk import check_room, file_system, free_bytes

Usage = namedtuple("Usage", "total used free")
MOUNTS = """\
22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 22 0:26 / {0} rw,nosuid shared:4 - tmpfs tmpfs rw
31 22 0:27 / {0}/at\\040work rw shared:5 - nfs4 server:/home rw
32 22 0:28 / {0}/at\\040work-too rw - ext4 /dev/vdb rw
"""


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> int:
    size: int = request.param
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(2**40, 0, size))
    return size


@pytest.mark.parametrize("free", [LEAST_FREE - 1], indirect=True)
@pytest.mark.usefixtures("free")
def test_a_run_does_not_start_on_a_disk_that_is_nearly_full(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"must have 1 GiB of room but has 1\.0: make room.* prune"):
        check_room(tmp_path, print)


@pytest.mark.parametrize(("free", "lines"), [(LEAST_FREE, 1), (LITTLE_FREE, 0)], indirect=["free"])
@pytest.mark.usefixtures("free")
def test_little_room_is_warned_of(tmp_path: Path, lines: int) -> None:
    said: list[str] = []
    check_room(tmp_path / "not" / "made", said.append)
    assert len(said) == lines


@pytest.mark.parametrize(
    ("path", "kind"),
    [("", "tmpfs"), ("at work/home", "nfs4"), ("at work-too", "ext4"), ("at work-elsewhere", "tmpfs")],
)
def test_the_file_system_of_a_home_is_that_of_the_nearest_mount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, kind: str
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS.format(tmp_path))
    monkeypatch.setattr(disk, "MOUNTS", mounts)
    for name in ("at work", "at work-too", "at work-elsewhere"):
        (tmp_path / name).mkdir()
    assert file_system(tmp_path / path) == kind


def test_this_machine_says_what_the_disk_of_a_home_is(tmp_path: Path) -> None:
    assert file_system(tmp_path)
    assert free_bytes(tmp_path) == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.1)


@pytest.mark.parametrize(
    ("kind", "free", "ok", "fatal"),
    [
        ("ext4", LITTLE_FREE, True, False),
        ("nfs4", LITTLE_FREE, False, False),
        ("xfs", LEAST_FREE - 1, False, True),
    ],
    indirect=["free"],
)
@pytest.mark.usefixtures("free")
def test_doctor_names_the_file_system_and_the_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, ok: bool, fatal: bool
) -> None:
    monkeypatch.setattr(disk, "file_system", lambda _: kind)
    findings = examine(tmp_path)
    found = next(finding for finding in findings if finding.subject == "disk")
    assert (found.ok, found.fatal) == (ok, fatal)
    assert kind in found.detail
