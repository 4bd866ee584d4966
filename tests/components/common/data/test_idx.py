import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from components.common.data.idx import read_idx, write_idx
from components.common.errors import PipelineError

HEADER = struct.pack(">4I", 0x0803, 2, 3, 4)
BODY = bytes(range(24))
# Without the time, by which the names of the tests would differ between the processes that collect them.
COMPRESSED = gzip.compress(HEADER + BODY, mtime=0)


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), (0, 28, 28)])
@pytest.mark.parametrize("compressed", [False, True])
def test_an_array_comes_back_as_it_was(tmp_path: Path, shape: tuple[int, ...], *, compressed: bool) -> None:
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    path = tmp_path / "idx"
    write_idx(path, array)
    if compressed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    np.testing.assert_array_equal(read_idx(path, len(shape), "name"), array)


def test_the_bytes_are_those_of_the_format(tmp_path: Path) -> None:
    write_idx(tmp_path / "idx", np.frombuffer(BODY, np.uint8).reshape(2, 3, 4))
    assert (tmp_path / "idx").read_bytes() == HEADER + BODY


def test_a_strided_array_is_written_in_order(tmp_path: Path) -> None:
    array = np.arange(10, dtype=np.uint8)[::3]
    write_idx(tmp_path / "idx", array)
    assert read_idx(tmp_path / "idx", 1, "name").tolist() == [0, 3, 6, 9]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must start with an idx header of 16 bytes but has only 0: fetch or write it again"),
        (HEADER[:15], "must start with an idx header of 16 bytes but has only 15: "),
        (b"<html>" + BODY, "magic number of unsigned bytes in 3 dimension.* starts with 0x3c68746d"),
        (
            struct.pack(">4I", 0x0D03, 2, 3, 4) + BODY * 4,
            "must start with 0x00000803, .* but starts with 0x00000d03",
        ),
        (struct.pack(">2I", 0x0801, 24) + BODY, "must start with 0x00000803, .* but starts with 0x00000801"),
        (HEADER + BODY[:-1], "must hold 24 bytes after its header but holds 23: "),
        (HEADER + BODY + b"!", "must hold 24 bytes after its header but holds 25: "),
        (
            HEADER[:4] + b"\xff" * 12 + BODY,
            "must hold 79228162458924105385300197375 bytes after its header",
        ),
        (COMPRESSED[:-9], "must be intact gzip but is not"),
        (COMPRESSED[:12] + b"\xff" * 30, "must be intact gzip but is not"),
        (COMPRESSED + b"trailing", "must be intact gzip but is not"),
        (b"\x1f\x8b", "must be intact gzip but is not"),
    ],
)
def test_a_malformed_file_is_an_error_with_its_name(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "idx").write_bytes(content)
    with pytest.raises(PipelineError, match=rf"^the file .*{message}.*\.$"):
        read_idx(tmp_path / "idx", 3, "the file")
