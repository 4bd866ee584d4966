"""`python -m benchmarks.reliability.page`: docs/reliability.md from the figures of the programmes."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"
PREFIX = "reliability-"
# In the order of the page; each is written by one command.
PROGRAMMES = {
    "faults": "make faults",
    "kills": "make faults",
    "movers": "make faults",
    "fuzz": "make fuzz",
    "drills": "make drills",
    "load": "make load",
    "endurance": "make soak",
    "soak": "make soak",
    "rights": "make rights",
}
HEAD = """# Reliability

What happens on bad days. Every table is written by a command of this repository, with the machine and the day; this
page is generated from them by `python -m benchmarks.reliability.page`. A programme without a table here has not been
run as a whole.
"""


def reliability_page(directory: Path) -> str:
    """Return docs/reliability.md, given the directory of the programmes' figures."""
    lines = [HEAD]
    missing = []
    for name, command in PROGRAMMES.items():
        path = directory / f"{PREFIX}{name}.json"
        if path.exists():
            lines += [*_section(name, json.loads(path.read_text())), ""]
        else:
            missing.append(f"`{name}` (`{command}`)")
    if missing:
        lines += ["## Not run", "", f"No figures yet: {', '.join(missing)}.", ""]
    return "\n".join(lines).rstrip() + "\n"


def _section(name: str, record: dict[str, Any]) -> Iterator[str]:
    yield from (f"## {record.get('title', name.capitalize())}", "")
    if "explanation" in record:
        yield from (record["explanation"], "")
    about = f"{record['machine']}; {record['date']}"
    if "command" in record:
        about = f"`{record['command']}`; commit {record['commit']}; {about}"
    yield from (f"{about}.", "")
    yield from _table(record["floors"])
    yield ""
    yield from _table(record["rows"])
    if not_run := record.get("not_run"):
        yield from ("", "Not run:", "", *(f"- {reason}" for reason in not_run))


def _table(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    rows = list(rows)
    if rows:
        body = [
            list(rows[0]),
            ["---"] * len(rows[0]),
            *([_cell(value) for value in row.values()] for row in rows),
        ]
        yield from ("| " + " | ".join(cells) + " |" for cells in body)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "met" if value else "**missed**"
    return str(value).replace("|", "\\|")


if __name__ == "__main__":
    (DOCS / "reliability.md").write_text(reliability_page(DOCS))
