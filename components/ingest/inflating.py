"""A compressed file that is read while it is still being inflated."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

PART_BYTES = 2**20


class Inflating:
    """A context that gives the content of a compressed file, which a thread writes to a file of its own.

    A read waits for its bytes. Where the context ends without an error, the file has the whole content, and the
    checksum at its end was compared.

    Args:
        compressed: The compressed file, opened to read its content.
        path: File to make.
        announce: Called with a number of bytes before they are written.

    Raises:
        Exception: What inflating raised, from each read that is not answered before, or at the end of the context.
    """

    def __init__(self, compressed: BinaryIO, path: Path, announce: Callable[[int], None]) -> None:
        self._compressed, self._announce = compressed, announce
        self._written = path.open("xb")
        self._read = path.open("rb", buffering=0)
        self._at = self._size = 0
        self._ended = self._left = False
        self._grown = threading.Condition()
        self._thread = ThreadPoolExecutor(1)
        self._inflated = self._thread.submit(self._inflate)

    def _inflate(self) -> None:
        try:
            with self._written as file:
                while not self._left and (part := self._compressed.read(PART_BYTES)):
                    self._announce(len(part))
                    file.write(part)
                    file.flush()
                    with self._grown:
                        self._size += len(part)
                        self._grown.notify()
        finally:
            with self._grown:
                self._ended = True
                self._grown.notify()

    def read(self, size: int) -> bytes:
        with self._grown:
            self._grown.wait_for(lambda: self._ended or self._size >= self._at + size)
        if self._ended:
            self._inflated.result()
        content = os.pread(self._read.fileno(), size, self._at)
        self._at += len(content)
        return content

    def seek(self, offset: int) -> int:
        self._at = offset
        return offset

    def tell(self) -> int:
        return self._at

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._left = error is not None
        self._thread.shutdown()
        self._read.close()
        if error is None:
            self._inflated.result()
