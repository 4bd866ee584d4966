"""Windows of time: the last whole one of a length, or one that is named."""

import time
from datetime import UTC, datetime

from components.common.errors import PipelineError


def last_window(hours: int, now: float | None = None) -> tuple[float, float]:
    """Return start and end of the last whole window, in seconds since 1970 in UTC.

    Windows of one length lie end to end from 1970 on, those of 24 hours from midnight to midnight in UTC. So whoever
    asks within one window looks at the same one before it.

    Raises:
        PipelineError: The length is not positive.
    """
    if hours < 1:
        raise PipelineError(f"hours must be at least 1 but is {hours}: give for example 24.")
    seconds = hours * 3600.0
    end = (time.time() if now is None else now) // seconds * seconds
    return end - seconds, end


def parse_time(text: str) -> float:
    """Return a date, with or without a time of day, in seconds since 1970; it is in UTC unless it names an offset.

    Raises:
        PipelineError: It is no date.
    """
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise PipelineError(
            f"a time must be a date such as 2026-11-28 or 2026-11-28T06:00 but is {text!r}: correct it."
        ) from None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
