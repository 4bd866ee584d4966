"""What is said of files and directories that are no data set."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from components.common.errors import PipelineError
from tests.forms import recognized


def _file(name: str, content: bytes) -> Callable[[Path], Path]:
    def write(directory: Path) -> Path:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    return write


def _below(*names: str) -> Callable[[Path], Path]:
    def write(directory: Path) -> Path:
        for name in names:
            _file(name, b"")(directory / "set")
        return directory / "set"

    return write


def _zip(directory: Path) -> Path:
    with zipfile.ZipFile(directory / "set.zip", "w") as archive:
        archive.writestr("a.png", b"")
        archive.writestr("a.cls", b"1")
    return directory / "set.zip"


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (
            _file("a.h5", b"\x89HDF\r\n\x1a\n" + bytes(9)),
            r"is a file of 17 bytes, HDF5: read it .* numpy[.]savez",
        ),
        (_file("a.mat", b"MATLAB 5.0 MAT-file"), "MATLAB: read it in Python, and write"),
        (_file("a.tar.zst", b"(\xb5/\xfd" + bytes(9)), "zstd: unpack it, and give what is in it"),
        (_file("a.pkl", b"\x80\x04\x95"), "a pickle, which can run code: read it"),
        (_file("a.csv", "filename,label\na.png,1\n".encode("utf-16")), "UTF-16: save it as UTF-8"),
        (_file("a.csv", b"filename,label\na.png,1\n"), "that starts with 'filename,label': give another"),
        (_file("a", b"\0\1\2"), "that starts with 0x000102: give another"),
        (_file("a.png", b"\x89PNG\r\n\x1a\n"), "one picture: give a directory that holds a directory"),
        (_below("a.png", "b.png"), "holds a.png, b.png: put the pictures of each class into a directory"),
        (_below("c/a.avif", "d/b.avif"), "and below them such files: .avif: convert pictures to PNG"),
        (_below("train.zip", "test.zip"), "holds test.zip, train.zip: unpack what is packed in it"),
        (_zip, "holds a.cls, a.png: put the pictures of each class into a directory"),
    ],
)
def test_what_is_no_data_set_is_described_with_a_way_out(
    tmp_path: Path, write: Callable[[Path], Path], message: str
) -> None:
    with pytest.raises(PipelineError, match=message):
        recognized(write(tmp_path))
