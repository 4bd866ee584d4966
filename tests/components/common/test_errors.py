import errno
import os

import pytest

from components.common.errors import PipelineError, UnavailableError, first_line, stated


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("one line"), "one line"),
        (OSError("the cause\nand its details"), "the cause"),
        (EOFError(), "EOFError"),
    ],
)
def test_the_first_line_of_an_error_is_its_message_or_its_type(error: Exception, expected: str) -> None:
    assert first_line(error) == expected


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_full_disk_is_an_outage_in_one_line_whatever_wraps_it(number: int, wrapped: bool) -> None:
    full: Exception = OSError(number, os.strerror(number), "/home/run.json")
    if wrapped:
        full, inner = ValueError("the library could not write"), full
        full.__cause__ = inner
    told = stated(full)
    assert isinstance(told, UnavailableError)
    assert told.exit_status == 75
    assert str(told).startswith("the disk of /home/run.json must have room but has none (")


def test_a_stated_error_is_itself_and_a_defect_is_not_told() -> None:
    error = PipelineError("x must be y")
    assert stated(error) is error
    assert stated(OSError(errno.EACCES, "denied")) is None
    assert stated(KeyError("x")) is None
