import numpy as np
import pytest

from components.ingest import whole_numbers
from components.ingest.whole_numbers import parsed_lines


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_lines_of_whole_numbers_are_parsed(end: bytes, last: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # Lines of three lengths, shorter and longer than a block.
    monkeypatch.setattr(whole_numbers, "BLOCK", 50)
    for columns in (1, 7, 40):
        rows = np.random.default_rng(1).integers(0, 256, (33, columns), np.uint8)
        lines = end.join(b";".join(b"%d" % value for value in row) for row in rows) + (end if last else b"")
        np.testing.assert_array_equal(parsed_lines(lines, ";", columns), rows)


def test_leading_zeros_change_nothing() -> None:
    np.testing.assert_array_equal(parsed_lines(b"007,00\n255,1\n", ",", 2), [[7, 0], [255, 1]])


@pytest.mark.parametrize(
    "lines",
    [b"256,0", b"300,0", b"1000,0", b"0001,0", b"-1,0", b"1.0,0", b",0", b"1,", b"1", b"1,2,3", b"1;2", b" 1,2",
     b'"1",2',
     b"1,2\n\n3,4", b"1,2\r3,4", b"a,2", b"\n1,2", b"999,9"],
)  # fmt: skip
def test_other_lines_are_left_to_another_parser(lines: bytes) -> None:
    assert parsed_lines(lines, ",", 2) is None
    assert parsed_lines(b"1,2\n" + lines, ",", 2) is None
