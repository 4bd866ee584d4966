import pytest

from components.common.errors import TRY_AGAIN
from pipelines.local import attempts
from pipelines.local.attempts import tried_again


@pytest.mark.parametrize(
    ("statuses", "ended", "made"),
    [([0], 0, 1), ([1, 0], 1, 1), ([75, 0], 0, 2), ([75, 1], 1, 2), ([75] * 9, TRY_AGAIN, 4)],
    ids=str,
)
def test_only_an_outage_is_tried_again_and_not_for_ever(
    statuses: list[int],
    ended: int,
    made: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(attempts, "PAUSES", (0.0, 0.0, 0.0))
    given = []

    def run(command: list[str]) -> int:
        given.append(command)
        return statuses[len(given) - 1]

    assert tried_again(run)(["train"]) == ended
    assert given == [["train"]] * made
    assert capsys.readouterr().out.count("[run] the step met an outage; attempt ") == made - 1
