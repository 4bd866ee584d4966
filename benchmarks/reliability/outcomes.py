"""The six ways in which work under a fault can end."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

# Best first. `same`: the same result at the first attempt. `late`: the same result after a retry that a batch system
# makes by itself. `loud`: an error in one line, nothing lost, and the same result once the fault is over. `traceback`:
# an error that is not told in one line. `hung`: no end within the bound. `wrong`: another result, or something lost.
Outcome = Literal["same", "late", "loud", "traceback", "hung", "wrong"]
OUTCOMES: tuple[Outcome, ...] = ("same", "late", "loud", "traceback", "hung", "wrong")
LEAST_UNHARMED = 0.9


@dataclass(frozen=True)
class Verdict:
    """How one cell of the fault table ended.

    Attributes:
        fault: Its row.
        step: Its column.
        outcome: How it ended.
        seconds: From the start of the first attempt to the end of the last one that counts.
        line: The error that was told, or what was wrong.
        lost: Whether the same work did not give the result after the fault was over.
        brief: Whether the fault lasts less than the time for which a step waits for an outage.
        not_run: Why it was not run; then the other figures mean nothing.
    """

    fault: str
    step: str
    outcome: Outcome = "same"
    seconds: float = 0.0
    line: str = ""
    lost: bool = False
    brief: bool = False
    not_run: str = ""


def floors(verdicts: Iterable[Verdict]) -> list[dict[str, object]]:
    """Return what the verdicts must fulfil, and whether they do."""
    run = [verdict for verdict in verdicts if not verdict.not_run]
    counts = Counter(verdict.outcome for verdict in run)
    lost = sum(verdict.lost for verdict in run)
    found: list[dict[str, object]] = [
        {"floor": f"{name}: 0", "measured": str(count), "met": count == 0}
        for name, count in (*((bad, counts[bad]) for bad in OUTCOMES[3:]), ("lost", lost))
    ]
    brief = [verdict.outcome in {"same", "late"} for verdict in run if verdict.brief]
    if brief:
        share = sum(brief) / len(brief)
        found.append({
            "floor": f"same or late where a fault is shorter than the patience: at least {LEAST_UNHARMED:.0%}",
            "measured": f"{share:.1%} of {len(brief)}",
            "met": share >= LEAST_UNHARMED,
        })  # fmt: skip
    return found
