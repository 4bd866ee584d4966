import pytest

from components.common.errors import PipelineError
from pipelines.candidates import MOST_NAMED, chosen

RUNS = {"a1": "fast-1", "a2": "fast-10", "b1": "best-1", "b2": "best-1"}


@pytest.mark.parametrize(
    ("named", "identity"), [("a1", "a1"), ("fast-1", "a1"), ("fast-10", "a2"), ("b2", "b2")]
)
def test_a_whole_name_counts_more_than_how_others_begin(named: str, identity: str) -> None:
    assert chosen(named, RUNS, "list") == identity


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("fast", r"'fast' may be fast-1 \(a1\), fast-10 \(a2\): write one in full"),
        ("best-1", r"'best-1' may be best-1 \(b1\), best-1 \(b2\)"),
        ("c", "'c' is none: choose one of `list`"),
        ("", "'' is none"),
    ],
)
def test_what_is_not_clear_is_refused(named: str, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        chosen(named, RUNS, "list")


def test_many_candidates_are_counted() -> None:
    runs = {str(number): f"run-{number}" for number in range(MOST_NAMED + 5)}
    with pytest.raises(PipelineError, match=r"run-9 \(9\) and 5 more"):
        chosen("run", runs, "list")
