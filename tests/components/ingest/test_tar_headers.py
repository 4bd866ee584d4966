"""Members of tar archives that real programs wrote, as tarfile alone reads them."""

import subprocess
import tarfile
from pathlib import Path

import pytest

from components.ingest import tar_headers
from components.ingest.tar_headers import Headers

LONG = "d" * 90 + "/" + "n" * 60
NAMES = ["a/1.png", "a/2.png", LONG, "b/é 🐈.png", "b/" + "x" * 98, "c"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    directory = tmp_path / "folder"
    for size, name in enumerate(NAMES):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(bytes([size]) * (size * 300))
    return directory


def members(path: Path) -> list[tuple[str, int, int, bytes]]:
    found = []
    with path.open("rb") as file:
        for it in Headers(file, "it").members():
            if isinstance(it, tarfile.TarInfo):
                found.append((it.name, it.size, it.offset_data, it.type))
            else:
                types = [tarfile.REGTYPE if is_file else tarfile.DIRTYPE for is_file in it.files]
                found += zip(it.names, it.sizes.tolist(), it.starts.tolist(), types, strict=True)
    return found


def by_tarfile(path: Path) -> list[tuple[str, int, int, bytes]]:
    with tarfile.open(path) as archive:
        return [(it.name, it.size, it.offset_data, it.type) for it in archive]


@pytest.mark.parametrize("form", ["gnu", "oldgnu", "pax", "ustar", "v7"])
def test_members_of_gnu_tar_are_those_of_tarfile(folder: Path, tmp_path: Path, form: str) -> None:
    names = NAMES if form in {"gnu", "oldgnu", "pax"} else ["a", "c"]
    path = tmp_path / "it.tar"
    subprocess.run(["tar", f"--format={form}", "-C", folder, "-cf", path, *names], check=True)
    assert [(name.rstrip("/"), *rest) for name, *rest in members(path)] == by_tarfile(path)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_of_python_are_those_of_tarfile(folder: Path, tmp_path: Path, form: int) -> None:
    with tarfile.open(tmp_path / "it.tar", "w", format=form) as archive:
        archive.add(folder, ".")
    assert [(name.rstrip("/"), *rest) for name, *rest in members(tmp_path / "it.tar")] == by_tarfile(
        tmp_path / "it.tar"
    )


def test_most_headers_are_read_without_tarfile(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The times of the files are fractions, for which tarfile and GNU tar's pax write a further header."""
    with tarfile.open(tmp_path / "python.tar", "w") as archive:
        archive.add(folder / "a", "a")
    for form in ("gnu", "pax"):
        subprocess.run(
            ["tar", f"--format={form}", "-C", folder, "-cf", tmp_path / f"{form}.tar", "a"], check=True
        )
    monkeypatch.setattr(tar_headers, "SHORT_AHEAD", 2048)
    monkeypatch.setattr(tar_headers, "LONG_AHEAD", 4096)
    read: list[int] = []
    usual = tarfile.TarInfo.fromtarfile.__func__  # type: ignore[attr-defined]

    def counted(cls: type[tarfile.TarInfo], file: tarfile.TarFile) -> object:
        read.append(file.offset)
        return usual(cls, file)

    monkeypatch.setattr(tarfile.TarInfo, "fromtarfile", classmethod(counted))
    for kind in ("python", "gnu", "pax"):
        read.clear()
        assert sorted(name for name, *_ in members(tmp_path / f"{kind}.tar"))[1:] == ["a/1.png", "a/2.png"]
        # The first header, perhaps the one after its times, and the end.
        assert len(read) <= 3


@pytest.mark.parametrize("field", [b"path=other", b"size=0000"])
def test_a_further_header_for_all_members_counts(tmp_path: Path, field: bytes) -> None:
    key, value = field.decode().split("=")
    with tarfile.open(tmp_path / "it.tar", "w", pax_headers={key: value}) as archive:
        for name in ("a", "b"):
            archive.addfile(tarfile.TarInfo(name))
    assert members(tmp_path / "it.tar") == by_tarfile(tmp_path / "it.tar")


@pytest.mark.parametrize("at", [0, 100, 124, 130, 135, 148, 345])
def test_a_damaged_header_is_noticed_as_by_tarfile(tmp_path: Path, at: int) -> None:
    with tarfile.open(tmp_path / "it.tar", "w") as archive:
        for name in ("a", "b", "c"):
            archive.addfile(tarfile.TarInfo(name))
    content = bytearray((tmp_path / "it.tar").read_bytes())
    content[1024 + at] ^= 1
    (tmp_path / "it.tar").write_bytes(content)
    with pytest.raises(tarfile.ReadError, match=r"^no header at byte 1024$"):
        members(tmp_path / "it.tar")


@pytest.mark.parametrize("size", [b"-0000000512", b"77777777777", b"1_000_00000"])
def test_a_size_that_leads_nowhere_is_noticed(tmp_path: Path, size: bytes) -> None:
    with tarfile.open(tmp_path / "it.tar", "w") as archive:
        for name in ("a", "b", "c"):
            archive.addfile(tarfile.TarInfo(name))
    content = bytearray((tmp_path / "it.tar").read_bytes())
    header = content[512:1024]
    header[124:135], header[148:156] = size, b" " * 8
    header[148:155] = b"%06o\0" % sum(header)
    content[512:1024] = header
    (tmp_path / "it.tar").write_bytes(content)
    with pytest.raises(tarfile.ReadError):
        members(tmp_path / "it.tar")


def test_a_header_in_the_content_of_a_member_is_none(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "inner.tar", "w") as archive:
        for name in ("a", "b"):
            archive.addfile(tarfile.TarInfo(name))
    with tarfile.open(tmp_path / "it.tar", "w") as archive:
        for name in ("1", "2", "3"):
            archive.add(tmp_path / "inner.tar", name)
    assert members(tmp_path / "it.tar") == by_tarfile(tmp_path / "it.tar")
