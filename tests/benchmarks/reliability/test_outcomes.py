"""The floors of the fault table."""

from benchmarks.reliability.outcomes import Verdict, floors


def met(*verdicts: Verdict) -> dict[str, bool]:
    return {str(floor["floor"]).partition(":")[0]: bool(floor["met"]) for floor in floors(verdicts)}


def test_floors_are_met_where_work_goes_on() -> None:
    brief = [Verdict("away", f"step {number}", "late", brief=True) for number in range(9)]
    assert all(met(*brief, Verdict("away", "last", "loud", brief=True)).values())


def test_each_floor_can_be_missed() -> None:
    for outcome in ("traceback", "hung", "wrong"):
        found = met(Verdict("kill", "train", outcome))
        assert [name for name, fulfilled in found.items() if not fulfilled] == [outcome]
    assert not met(Verdict("kill", "train", "loud", lost=True))["lost"]
    brief = [Verdict("away", "a", "loud", brief=True), Verdict("away", "b", brief=True)]
    assert not met(*brief)["same or late where a fault is shorter than the patience"]


def test_what_was_not_run_decides_nothing() -> None:
    assert all(met(Verdict("disk full", "train", "wrong", lost=True, not_run="no right to mount")).values())
