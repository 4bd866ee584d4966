"""Lists of zip files that Python wrote, as zipfile alone reads them."""

import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from components.ingest.zip_list import Entries, picture_entries

NAMES = ["a/", "a/1.png", "a/é 🐈.JPG", "b\\2.bmp"]


def zip_of(
    path: Path, method: int = zipfile.ZIP_DEFLATED, names: list[str] = NAMES, comment: bytes = b""
) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.comment = comment
        for name in names:
            archive.writestr(name, b"" if name.endswith("/") else name * 9)
    return path


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("limit", [zipfile.ZIP_FILECOUNT_LIMIT, 1])
def test_entries_are_those_of_zipfile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: int, limit: int
) -> None:
    """Above the limit, the numbers of the end need 64 bits."""
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", limit)
    path = zip_of(tmp_path / "it", method)
    assert (b"PK\x06\x06" in path.read_bytes()) == (limit == 1)
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
    entries, expected = picture_entries(path), Entries.of([info for info in infos if not info.is_dir()])
    assert entries
    assert entries.names == expected.names == NAMES[1:]
    assert entries.rows.tolist() == expected.rows.tolist()


def test_names_without_a_flag_are_of_code_page_437(tmp_path: Path) -> None:
    path = zip_of(tmp_path / "it", names=["0.png"])
    path.write_bytes(path.read_bytes().replace(b"0.png", b"\x82.png"))
    entries = picture_entries(path)
    assert entries
    assert entries.names == ["é.png"]


@pytest.mark.parametrize(
    "made",
    [
        lambda path: zip_of(path, names=[*NAMES, "readme.txt"]),
        lambda path: zip_of(path, zipfile.ZIP_LZMA),
        lambda path: zip_of(path, comment=b"by hand"),
        lambda path: zip_of(path, names=["PK\x01\x02.png"]),
    ],
)
def test_an_unusual_zip_is_for_zipfile(tmp_path: Path, made: Callable[[Path], Path]) -> None:
    assert picture_entries(made(tmp_path / "it")) is None


@pytest.mark.parametrize(
    ("damage", "at"),
    [
        ("start", -1),
        ("signature", 0),
        ("name", 46),
        ("number", 24),
        ("number", 42),
        ("length", 30),
        ("cut", 0),
    ],
)
def test_what_is_damaged_or_needs_64_bits_is_for_zipfile(tmp_path: Path, damage: str, at: int) -> None:
    content = zip_of(tmp_path / "it").read_bytes()
    entry = content.index(b"PK\x01\x02")
    changed = {
        "start": b"before" + content,
        "signature": content.replace(b"PK\x01\x02", b"PK\x01\x03"),
        "name": content[: entry + at] + b"\0" + content[entry + at + 1 :],
        "number": content[: entry + at] + struct.pack("<I", 0xFFFFFFFF) + content[entry + at + 4 :],
        "length": content[: entry + at] + b"\1" + content[entry + at + 1 :],
        "cut": content[:-1],
    }[damage]
    (tmp_path / "it").write_bytes(changed)
    assert picture_entries(tmp_path / "it") is None
    for length in range(0, 22, 7):
        (tmp_path / "it").write_bytes(content[:length])
        assert picture_entries(tmp_path / "it") is None
