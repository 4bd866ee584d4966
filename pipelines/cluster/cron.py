"""Cron expressions as Kubeflow reads them: six fields, seconds first."""

import re

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
