"""Tables of registered versions and of moves of the champion, as rows of text."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from components.common.tracking.tags import APPROVAL, WAITING

if TYPE_CHECKING:
    from components.register.journal import Move

Description = Mapping[str, Any]

VERSION_HEAD = [
    "version",
    "aliases",
    "test accuracy",
    "images",
    "classes",
    "recipe",
    "seed",
    "registered (UTC)",
    "commit",
    "weights",
]
RUN_HEAD = [
    "run",
    "started (UTC)",
    "seconds",
    "state",
    "data",
    "recipe",
    "test accuracy",
    "decision",
    "registered",
    "link",
]
CLUSTER_RUN_HEAD = ["run", "started (UTC)", "seconds", "state", "id", "link"]
MOVE_HEAD = ["move", "when (UTC)", "action", "from", "to", "who", "why"]
# Differ between any two versions.
IDENTITY = {"version", "aliases"}
# Digits of a digest that are shown.
SHORT_DIGEST = 8
# Names of classes in a table; JSON has them all.
MOST_LISTED = 20


def aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield a line a row, with columns padded to the same width; all rows must have the same length."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def version_rows(found: Iterable[Description]) -> list[list[str]]:
    """Return a head and a row a version, from the descriptions of the versions."""
    return [VERSION_HEAD, *map(_version_row, found)]


def _version_row(version: Description) -> list[str]:
    accuracy = version.get("test_accuracy")
    return [
        version["version"],
        ", ".join(
            [*version["aliases"], *(["waits for approval"] if version.get(APPROVAL) == WAITING else [])]
        ),
        f"{accuracy:.4f}" if accuracy is not None else "",
        *(str(version.get(key, "")) for key in ("images", "class count", "recipe", "seed", "registered")),
        *(version.get(key, "")[:SHORT_DIGEST] for key in ("git_sha", "weights_digest")),
    ]


def run_rows(found: Iterable[Description]) -> list[list[str]]:
    """Return a head and a row a run, from the descriptions of the runs."""
    return [RUN_HEAD, *map(_run_row, found)]


def _run_row(run: Description) -> list[str]:
    seconds, accuracy = run["seconds"], run["test accuracy"]
    return [
        run["run"],
        run["started"],
        "" if seconds is None else f"{seconds:.0f}",
        run["state"].lower(),
        run["data"] or "",
        run["recipe"] or "",
        "" if accuracy is None else f"{accuracy:.4f}",
        *(run[key] or "" for key in ("decision", "registered", "link")),
    ]


def cluster_run_rows(found: Iterable[Description]) -> list[list[str]]:
    """Return a head and a row a run, from the descriptions of Kubeflow's runs."""
    rows = (
        [
            run["run"],
            run["started"] or "",
            "" if run["seconds"] is None else f"{run['seconds']:.0f}",
            (run["state"] or "").lower(),
            run["id"],
            run["link"],
        ]
        for run in found
    )
    return [CLUSTER_RUN_HEAD, *rows]


def detail_rows(description: Description) -> list[list[str]]:
    """Return a row of name and value for every entry of the description of a version or of a run."""
    return [[key, _text(value)] for key, value in description.items()]


def version_differences(first: Description, second: Description) -> dict[str, list[Any]]:
    """Return the value in `first` and in `second` by name, for the entries that differ.

    Number and aliases are left out. An entry that one of the versions lacks is None there.
    """
    names = dict.fromkeys([*first, *second])
    return {
        name: [first.get(name), second.get(name)]
        for name in names
        if name not in IDENTITY and first.get(name) != second.get(name)
    }


def difference_rows(differing: Mapping[str, Sequence[Any]]) -> list[list[str]]:
    """Return a row of name and two values for every entry of `version_differences`."""
    return [[name, *map(_text, values)] for name, values in differing.items()]


def move_rows(moves: "Iterable[Move]") -> list[list[str]]:
    """Return a head and a row a move; a move that does not count is marked as void."""
    return [MOVE_HEAD, *map(_move_row, moves)]


def _move_row(move: "Move") -> list[str]:
    action = move.action if move.counts else f"{move.action}, void: another came first"
    change = move.before or "none", move.after or "none"
    return [str(move.number), utc_time(move.time), action, *change, move.who, move.why]


def utc_time(milliseconds: int) -> str:
    """Return a time that is given in milliseconds since 1970 as `YYYY-MM-DD HH:MM:SS`."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _text(value: object) -> str:
    if value is None or value == []:
        return "-"
    if not isinstance(value, list):
        return str(value)
    more = f" and {len(value) - MOST_LISTED} more" if len(value) > MOST_LISTED else ""
    return ", ".join(map(str, value[:MOST_LISTED])) + more
