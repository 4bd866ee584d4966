from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import ValidationError

from components.common.errors import PipelineError
from components.common.record import Record


class Box(Record):
    FILE: ClassVar[str] = "box.json"

    width: int
    labels: tuple[str, ...] = ()


def test_a_record_survives_its_file(tmp_path: Path) -> None:
    box = Box(width=3, labels=("a", "b"))
    box.save(tmp_path)
    assert (tmp_path / "box.json").read_text().endswith("}\n")
    assert Box.load(tmp_path) == box


def test_a_record_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Box(width=3).width = 4


def test_a_missing_record_names_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(
        PipelineError, match=r"box\.json must exist but does not: run the step that writes it"
    ):
        Box.load(tmp_path)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ('{"width": "3"}', "width: Input should be a valid integer"),
        ("{}", "width: Field required"),
        ('{"width": 3, "height": 4}', "height: Extra inputs are not permitted"),
        ('{"width": 3, "labels": [1]}', r"labels\.0: Input should be a valid string"),
        ("{", "content: Invalid JSON"),
        ("[]", "content: "),
    ],
)
def test_what_does_not_match_is_refused(tmp_path: Path, content: str, fault: str) -> None:
    (tmp_path / "box.json").write_text(content)
    with pytest.raises(PipelineError, match=rf"box\.json must be as its step wrote it but {fault}"):
        Box.load(tmp_path)
