import pytest

from components.common.printable import as_cell, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("seven.png", "seven.png"),
        ("größe 数字 🙂.png", "größe 数字 🙂.png"),
        ("\x1b[2J.png", "\\x1b[2J.png"),
        ("a\n[register] done", "a\\n[register] done"),
        ("a\u202egnp.exe", "a\\u202egnp.exe"),
        ("\udcff.png", "\\udcff.png"),
    ],
)
def test_what_a_terminal_could_obey_or_not_show_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert as_cell(text) == shown


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@sum", "\t=1"])
def test_a_formula_is_a_text(text: str) -> None:
    assert as_cell(text) == f"'{printable(text)}"
