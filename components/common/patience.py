"""Patience with what lies outside: a call that finds an outage is made again, with growing pauses, within a bound."""

from collections.abc import Callable
from typing import TypeVar

from components.common.errors import UnavailableError
from components.common.narration import say
from components.common.settings import settings

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds

Answer = TypeVar("Answer")


def patiently(step: str, call: Callable[[], Answer], seconds: float | None = None) -> Answer:
    """Return what a call returns; while it raises `UnavailableError`, make it again.

    Pauses grow from one second to half a minute and are drawn at random, so that many clients do not come back at
    the same moment. The first outage is said, with the bound.

    Args:
        step: Whose progress the waiting is.
        call: May be made any number of times.
        seconds: How long to go on, by default OUTAGE_SECONDS; the last call may end later by its own bound.

    Raises:
        UnavailableError: The outage lasted longer.
    """
    import tenacity

    bound = settings().outage_seconds if seconds is None else seconds

    def told(state: "tenacity.RetryCallState") -> None:
        if state.attempt_number == 1 and state.outcome:
            say(step, f"{state.outcome.exception()} Trying again for {bound:g} s.")

    return tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(UnavailableError),
        wait=tenacity.wait_random_exponential(multiplier=FIRST_PAUSE, max=LONGEST_PAUSE),
        stop=tenacity.stop_after_delay(bound),
        before_sleep=told,
        reraise=True,
    )(call)
