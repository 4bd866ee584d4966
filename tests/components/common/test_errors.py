import pytest

from components.common.errors import first_line


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
