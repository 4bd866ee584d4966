import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from components.common import bounds
from components.common.data.idx import IdxFile, idx_header
from components.common.errors import PipelineError

HEADER = struct.pack(">4I", 0x0803, 2, 3, 4)
BODY = bytes(range(24))
# Without the time, by which the names of the tests would differ between the processes that collect them.
COMPRESSED = gzip.compress(HEADER + BODY, mtime=0)


def written(directory: Path, array: NDArray[Any], *, compressed: bool = False) -> IdxFile:
    content = idx_header(array.dtype, array.shape) + array.astype(array.dtype.newbyteorder(">")).tobytes()
    (directory / "idx").write_bytes(gzip.compress(content) if compressed else content)
    return IdxFile(directory / "idx", "the file")


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), (0, 28, 28), (2, 3, 4, 3)])
@pytest.mark.parametrize("kind", ["uint8", "int8", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("compressed", [False, True])
def test_an_array_comes_back_as_it_was(
    tmp_path: Path, shape: tuple[int, ...], kind: str, *, compressed: bool
) -> None:
    array = np.arange(np.prod(shape)).reshape(shape).astype(kind)
    file = written(tmp_path, array, compressed=compressed)
    assert (file.shape, len(file), file.dtype.kind) == (shape, shape[0], array.dtype.kind)
    assert file.array().dtype == array.dtype
    np.testing.assert_array_equal(file.array(), array)


@pytest.mark.parametrize("compressed", [False, True])
def test_rows_come_in_chunks(tmp_path: Path, *, compressed: bool) -> None:
    array = np.arange(84, dtype=np.int16).reshape(7, 3, 4)
    chunks = list(written(tmp_path, array, compressed=compressed).chunks(3))
    assert [len(chunk) for chunk in chunks] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate(chunks), array)


def test_a_plain_file_is_mapped(tmp_path: Path) -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    mapped = written(tmp_path, array).mapped()
    np.testing.assert_array_equal(mapped, array)
    assert isinstance(mapped, np.memmap)
    assert written(tmp_path, array[:0]).mapped().shape == (0, 3, 4)
    (tmp_path / "idx").write_bytes(HEADER + BODY[:-1])
    with pytest.raises(PipelineError, match="must hold 24 bytes after its header but holds 23: "):
        IdxFile(tmp_path / "idx", "the file").mapped()


def test_the_bytes_are_those_of_the_format(tmp_path: Path) -> None:
    written(tmp_path, np.frombuffer(BODY, np.uint8).reshape(2, 3, 4))
    assert (tmp_path / "idx").read_bytes() == HEADER + BODY


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must start with an idx header, such as 0x00000803 for images, but starts with 0x: fetch"),
        (HEADER[:15], "must have an idx header of 16 bytes but has only 15: "),
        (b"<html>" + BODY, "must start with an idx header, .* but starts with 0x3c68746d: "),
        (
            struct.pack(">4I", 0x0A03, 2, 3, 4) + BODY,
            "must start with an idx header, .* starts with 0x00000a03: ",
        ),
        (
            struct.pack(">7I", 0x0805, 1, 1, 1, 1, 1, 1),
            "must start with an idx header, .* starts with 0x00000805: ",
        ),
        (struct.pack(">I", 0x0800), "must start with an idx header, .* starts with 0x00000800: "),
        (HEADER + BODY[:-1], "must hold 24 bytes after its header but holds 23: "),
        (HEADER + BODY + b"!", "must hold 24 bytes after its header but holds more: "),
        (COMPRESSED[:-9], "must be intact gzip but is not"),
        (COMPRESSED[:-8] + b"\xff" * 8, "must be intact gzip but is not"),
        (COMPRESSED + b"trailing", "must be intact gzip but is not"),
        (b"\x1f\x8b", "must be intact gzip but is not"),
    ],
)
def test_a_malformed_file_is_an_error_with_its_name(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "idx").write_bytes(content)
    with pytest.raises(PipelineError, match=rf"^the file .*{message}.*\.$"):
        IdxFile(tmp_path / "idx", "the file").array()


def test_more_than_the_bound_is_refused_before_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "idx").write_bytes(HEADER[:4] + b"\xff" * 12 + BODY)
    with pytest.raises(
        PipelineError, match=f"announced bytes must be at most {bounds.LARGEST_PART:,} but is 79,228,"
    ):
        IdxFile(tmp_path / "idx", "the file")
