"""Cron expressions as Kubeflow reads them: six fields, seconds first."""

import re
from functools import cache

from components.common.errors import PipelineError

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
# Name, smallest and largest value, names in place of values from the smallest on.
FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("second", 0, 59, ()),
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, MONTHS),
    ("day of week", 0, 6, DAYS),
)
PART = re.compile(r"(?P<first>\*|\?|\w+)(-(?P<last>\w+))?(/(?P<every>\d+))?", re.ASCII)

EVERY = {"*", "?"}
DAY_MINUTES = 24 * 60


def six_fields(expression: str) -> str:
    """Return the expression with its seconds: five fields, as crontab knows them, start at second 0.

    Kubeflow itself takes the five fields of a crontab for seconds to months, and runs far too often.

    Raises:
        PipelineError: Not five or six fields, or one that breaks its rule.
    """
    fields = expression.split()
    if len(fields) == 5:
        fields = ["0", *fields]
    if len(fields) != 6:
        raise PipelineError(
            "--cron takes six fields (second minute hour day-of-month month day-of-week, like '0 0 3 * * *' for "
            f"3:00 each day) but got {len(fields)} in {expression!r}."
        )
    for field, (name, smallest, largest, names) in zip(fields, FIELDS, strict=True):
        for part in field.split(","):
            _check(part, name, smallest, largest, names)
    return " ".join(fields)


def _check(part: str, name: str, smallest: int, largest: int, names: tuple[str, ...]) -> None:
    found = PART.fullmatch(part)
    if not found or (found["first"] in "*?" and found["last"]) or found["every"] == "0":
        raise PipelineError(f"the {name} in --cron must look like *, 5, 1-5, 1,3 or */10 but is {part!r}.")
    values = []
    for text in filter(None, (found["first"], found["last"])):
        value = names.index(text.upper()) + smallest if text.upper() in names else text
        if text in "*?":
            continue
        if not str(value).isdecimal() or not smallest <= int(value) <= largest:
            raise PipelineError(f"the {name} in --cron must be {smallest} to {largest} but is {part!r}.")
        values.append(int(value))
    if values != sorted(values):
        raise PipelineError(f"the {name} in --cron must not count backwards but is {part!r}.")


@cache
def shifted(expression: str, minutes: int) -> str:
    """Return six fields for a clock that is behind by so many minutes.

    Raises:
        PipelineError: No six fields say it: a day of the month would change, or hours and minutes no longer combine.
    """
    fields = expression.split()
    values = [_values(field, *rule) for field, rule in zip(fields, FIELDS, strict=True)]
    times = [hour * 60 + minute - minutes for hour in values[2] for minute in values[1]]
    on_clock = {time % DAY_MINUTES for time in times}
    new_minutes, new_hours = {time % 60 for time in on_clock}, {time // 60 for time in on_clock}
    days = {time // DAY_MINUTES for time in times}
    every_month_day = fields[3] in EVERY and fields[4] in EVERY
    every_day = every_month_day and fields[5] in EVERY
    if len(new_minutes) * len(new_hours) != len(on_clock) or not (
        every_day or days == {0} or (len(days) == 1 and every_month_day)
    ):
        raise PipelineError(
            f"--cron must be one expression in the scheduler's time zone too but {expression!r}, moved by "
            f"{-minutes} minutes, is none: give it in that time zone, without --time-zone."
        )
    fields[1] = _text(new_minutes, values[1], fields[1], FIELDS[1])
    fields[2] = _text(new_hours, values[2], fields[2], FIELDS[2])
    if fields[5] not in EVERY:
        weekdays = {(day + min(days)) % 7 for day in values[5]}
        fields[5] = _text(weekdays, values[5], fields[5], FIELDS[5])
    return " ".join(fields)


def _values(field: str, _name: str, smallest: int, largest: int, names: tuple[str, ...]) -> set[int]:
    """Return what a field that `six_fields` has checked stands for."""
    found: set[int] = set()
    for part in field.split(","):
        (first, last), every = _parts(part)
        if first in EVERY:
            begin, end = smallest, largest
        else:
            begin = _number(first, smallest, names)
            # As in Kubeflow, 5/10 goes on to the largest value.
            end = _number(last, smallest, names) if last else largest if every else begin
        found |= set(range(begin, end + 1, int(every or 1)))
    return found


def _number(text: str, smallest: int, names: tuple[str, ...]) -> int:
    return names.index(text.upper()) + smallest if text.upper() in names else int(text)


def _parts(part: str) -> tuple[tuple[str, str | None], str | None]:
    """Split `first-last/every`; the last two may be missing."""
    span, _, every = part.partition("/")
    first, _, last = span.partition("-")
    return (first, last or None), every or None


def _text(new: set[int], old: set[int], text: str, rule: tuple[str, int, int, tuple[str, ...]]) -> str:
    """Return a field for the values, as it was where they are the same."""
    if new == old:
        return text
    every = set(range(rule[1], rule[2] + 1))
    return "*" if new == every else ",".join(map(str, sorted(new)))
