"""Rules for what counts as drift."""

from dataclasses import dataclass

FALSE_ALARMS = 0.05
TOLERATED = 0.02
UNKNOWN = 1 / 500


@dataclass(frozen=True)
class Rules:
    """What counts as drift.

    Attributes:
        false_alarms: Share of windows without drift in which drift is found nevertheless, at most.
        tolerated: Share of the requests that may be otherwise.
        margin: Growth of the share of mistakes that is tolerated.
    """

    false_alarms: float = FALSE_ALARMS
    tolerated: float = TOLERATED
    margin: float = 0.002

    @property
    def unknown(self) -> float:
        """Part of the rate that each test of shares spends on not knowing the reference's share exactly."""
        return self.false_alarms * UNKNOWN
