import re
from pathlib import Path

import pytest

from pipelines.cli.answers import print_line, print_table

HOSTILE = "seven\x1b]0;title\x07\n=1.png"
SHOWN = "seven\\x1b]0;title\\x07\\n=1.png"


def test_what_comes_from_outside_is_shown_and_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    print_line(HOSTILE)
    print_table([["name", "why"], [HOSTILE, "x"]])
    line, head, row = capsys.readouterr().out.splitlines()
    assert line == SHOWN
    assert row == f"{SHOWN}  x"
    assert head.split() == ["name", "why"]
    print_line(HOSTILE, err=True)
    assert capsys.readouterr().err == f"{SHOWN}\n"


def test_commands_print_lines_tables_and_json_only() -> None:
    for source in (Path(__file__).parents[3] / "pipelines/cli").glob("*.py"):
        bare = re.findall(r"typer\.echo(?!\(json\.dumps)|\bprint\(", source.read_text(encoding="utf-8"))
        assert not bare or source.name == "answers.py", source
