from pathlib import Path

import pytest

from components.common.errors import PipelineError
from components.common.model.judgement import Judgement
from tests.records import training_record


@pytest.fixture
def judgement() -> Judgement:
    return Judgement(
        training=training_record(),
        test_digest="d",
        candidate="tuned",
        action="keep",
        reasons=["too few hits"],
        verdict="worse",
        temperature=1.5,
        reject_below=0.9,
        champion_version=None,
        summary="## Keep",
    )


def test_a_judgement_is_read_as_it_was_written(judgement: Judgement, tmp_path: Path) -> None:
    judgement.save(tmp_path)

    assert Judgement.load(tmp_path) == judgement


def test_an_unknown_action_is_refused(judgement: Judgement, tmp_path: Path) -> None:
    judgement.save(tmp_path)
    path = tmp_path / "judgement.json"
    path.write_text(path.read_text().replace('"keep"', '"promote"'))

    with pytest.raises(PipelineError, match="judgement.json must be as its step wrote it but action"):
        Judgement.load(tmp_path)
