"""Lines of whole numbers from 0 to 255, parsed some MiB at a time."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from components.common.cores import cores

# Bytes that stay in a core's cache.
BLOCK = 2**19


def parsed_lines(lines: bytes, delimiter: str, columns: int) -> NDArray[np.uint8] | None:
    """Parse lines that hold nothing but digits, delimiters and line ends, five times as fast as Arrow.

    Args:
        lines: Whole lines.
        delimiter: The character between two numbers.
        columns: Numbers in a line.

    Returns:
        Rows x columns; None where any line is of another kind, which is no error: another parser says what it is.
    """
    if b"\r" in lines:
        lines = lines.replace(b"\r\n", b"\n")
    text = np.frombuffer(lines if lines.endswith(b"\n") else lines + b"\n", np.uint8)
    parts = list(_parts(text, min(cores(), len(text) // BLOCK + 1)))
    with ThreadPoolExecutor(len(parts)) as threads:
        rows = list(threads.map(partial(_parsed_part, delimiter=ord(delimiter), columns=columns), parts))
    found = [part for part in rows if part is not None]
    return np.concatenate(found) if len(found) == len(rows) else None


def _parts(text: NDArray[np.uint8], count: int) -> Iterator[NDArray[np.uint8]]:
    """Yield whole lines, about as many at a time."""
    start = 0
    for number in range(1, count + 1):
        end = len(text) * number // count
        end += int(np.argmax(text[end - 1 :] == ord("\n")))
        if end > start:
            yield text[start:end]
        start = end


def _parsed_part(text: NDArray[np.uint8], delimiter: int, columns: int) -> NDArray[np.uint8] | None:
    rows, start = [], 0
    while start < len(text):
        newlines = np.flatnonzero(text[start : start + BLOCK] == ord("\n"))
        # A line may be longer than a block.
        length = int(newlines[-1]) if len(newlines) else int(np.argmax(text[start:] == ord("\n")))
        block = _parsed(text[start : start + length + 1], delimiter, columns)
        if block is None:
            return None
        rows.append(block)
        start += length + 1
    return np.concatenate(rows)


def _parsed(text: NDArray[np.uint8], delimiter: int, columns: int) -> NDArray[np.uint8] | None:
    digits = text - np.uint8(ord("0"))
    is_digit = digits <= 9
    is_end = ~is_digit
    # Their places are found five times as fast as they are picked by truth values.
    ends = np.flatnonzero(is_end)
    separators = text[ends]
    if len(separators) % columns or (separators.reshape(-1, columns) != _line(delimiter, columns)).any():
        return None
    # No number is empty, and none is longer than three digits.
    if is_end[0] or (is_end[1:] & is_end[:-1]).any():
        return None
    second = is_digit[1:] & is_digit[:-1]
    third = second[1:] & second[:-1]
    if (third[1:] & third[:-1]).any():
        return None
    values = digits.copy()
    values[1:] += digits[:-1] * (second * np.uint8(10))
    hundreds = digits[:-2] * third
    if (hundreds > 2).any() or ((hundreds == 2) & (values[2:] > 55)).any():
        return None
    values[2:] += hundreds * np.uint8(100)
    return values[ends - 1].reshape(-1, columns)


def _line(delimiter: int, columns: int) -> NDArray[np.uint8]:
    separators = np.full(columns, delimiter, np.uint8)
    separators[-1] = ord("\n")
    return separators
