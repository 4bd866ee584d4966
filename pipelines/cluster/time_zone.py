"""Times of a schedule in a time zone of the user's; Kubeflow's scheduler has one for all schedules."""

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from components.common.errors import PipelineError
from pipelines.cluster.cron import shifted

# Schedules without an end are looked at so far ahead; a clock that changes does so within a year.
LONGEST = timedelta(days=800)
STEP = timedelta(hours=6)
MINUTE = timedelta(minutes=1)


def zone_named(name: str, option: str) -> tzinfo:
    """Return a time zone by its name.

    Args:
        name: Such as Europe/Berlin.
        option: The option that it is given with.

    Raises:
        PipelineError: There is no such time zone.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise PipelineError(
            f"{option} must be a time zone's name but {name!r} is none: give one like UTC or Europe/Berlin."
        ) from None


def cron_of_scheduler(
    cron: str, zone: tzinfo, scheduler: tzinfo, start: datetime | None, end: datetime | None
) -> str:
    """Return six fields in the scheduler's time zone that mean the same times.

    Args:
        cron: Six fields in `zone`.
        zone: The user's time zone.
        scheduler: The scheduler's.
        start: First time of the schedule; None for now.
        end: Its last time; None for no end.

    Raises:
        PipelineError: A clock is changed meanwhile, so that no one expression is right, or six fields cannot say it.
    """
    time = start or datetime.now(UTC)
    last = min(end, time + LONGEST) if end else time + LONGEST
    found: str | None = None
    while time <= last:
        difference = (time.astimezone(zone).utcoffset() or timedelta()) - (
            time.astimezone(scheduler).utcoffset() or timedelta()
        )
        moved = shifted(cron, difference // MINUTE)
        if found not in {None, moved}:
            raise PipelineError(
                f"--time-zone must stay at one distance from the scheduler's {scheduler} but {zone} does not: "
                f"{cron!r} there is {found!r} until {time:%Y-%m-%d} and then {moved!r}. Give --cron in {scheduler}, "
                "an --end before that day, or, where Kubeflow's scheduler runs with that CRON_SCHEDULE_TIMEZONE, "
                f"--scheduler-time-zone {zone}."
            )
        found = moved
        time += STEP
    return found or cron


def time_given(text: str | None, option: str, zone: tzinfo) -> datetime | None:
    """Return a time, which is in `zone` unless it says otherwise; None where none is given.

    Raises:
        PipelineError: It is not in ISO format.
    """
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise PipelineError(
            f"{option} must be a time like 2027-01-31 or 2027-01-31T18:00 but is {text!r}: correct it."
        ) from None
    return time if time.tzinfo else time.replace(tzinfo=zone)


def check_bounds(start: datetime | None, end: datetime | None) -> None:
    """Make sure that a schedule can run at all.

    Raises:
        PipelineError: Its end is over, or before its start.
    """
    for first, what in ((start, "--start"), (datetime.now(UTC), "now")):
        if first and end and end <= first:
            raise PipelineError(f"--end must come after {what} but is {end.isoformat()}: correct it.")
