import io
import threading
from pathlib import Path
from typing import cast

import pytest

from components.common.errors import PipelineError
from components.ingest.inflating import PART_BYTES, Inflating


class Waiting(io.BytesIO):
    """Content that gives no second part before it may."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.may_go_on = threading.Event()

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell():
            assert self.may_go_on.wait(60)
        return super().read(size)


class Endless(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        return bytes(cast("int", size))


def test_what_is_there_is_read_before_the_rest_is_inflated(tmp_path: Path) -> None:
    content = bytes(range(256)) * (PART_BYTES // 256 + 1)
    source, announced = Waiting(content), list[int]()
    with Inflating(source, tmp_path / "it", announced.append) as file:
        assert file.read(3) == content[:3]
        assert file.seek(1000) == file.tell() == 1000
        assert file.read(500) == content[1000:1500]
        assert announced == [PART_BYTES]
        source.may_go_on.set()
        file.seek(len(content) - 2)
        assert file.read(100) == content[-2:]
        assert file.read(100) == b""
    assert (tmp_path / "it").read_bytes() == content
    assert announced == [PART_BYTES, 256]


def test_the_rest_is_inflated_where_it_was_not_read(tmp_path: Path) -> None:
    content = bytes(3 * PART_BYTES)
    with Inflating(io.BytesIO(content), tmp_path / "it", lambda _: None):
        pass
    assert (tmp_path / "it").read_bytes() == content


def test_a_reader_that_fails_ends_the_inflating(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="substring not found"),
        Inflating(Endless(), tmp_path / "it", lambda _: None) as file,
    ):
        file.read(1).decode("ascii").index("1")


def test_what_is_refused_is_not_written_and_told_to_the_reader(tmp_path: Path) -> None:
    def refuse(_: int) -> None:
        raise PipelineError("too large")

    with (
        pytest.raises(PipelineError, match="too large"),
        Inflating(Endless(), tmp_path / "it", refuse) as file,
    ):
        file.read(1)
    assert (tmp_path / "it").read_bytes() == b""


def test_damage_behind_what_is_read_is_told_at_the_end(tmp_path: Path) -> None:
    class Damaged(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() == len(self.getvalue()):
                raise EOFError("the checksum is missing")
            return super().read(size)

    with (
        pytest.raises(EOFError, match="checksum is missing"),
        Inflating(Damaged(b"abc" * PART_BYTES), tmp_path / "it", lambda _: None) as file,
    ):
        assert file.read(3) == b"abc"
