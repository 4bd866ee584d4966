"""`mnist-pipeline data inspect` on the command line; tests/e2e/test_data_commands.py looks at data of every form."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from components.common.errors import PipelineError
from pipelines.cli.main import app


@pytest.mark.parametrize("sheet", ["sheet.txt", "nowhere/sheet.png", "."])
def test_a_sheet_that_cannot_be_written_is_refused_before_the_data_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sheet: str
) -> None:
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(app, ["data", "inspect", "digits", "--sheet", sheet]).exception
    assert isinstance(told, PipelineError)
    assert str(told).startswith(
        f"--sheet must be a PNG file in a directory that can be written but is {sheet}: "
    )
