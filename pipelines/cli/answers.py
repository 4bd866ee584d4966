"""Answers of the commands on the terminal: a table, or one JSON document."""

import json
from typing import TYPE_CHECKING, Any

import typer

from components.common.printable import printable

if TYPE_CHECKING:
    from pipelines.local.summary import Summary


def print_json(document: dict[str, Any]) -> None:
    typer.echo(json.dumps(document, indent=2))


def print_table(rows: list[list[str]]) -> None:
    from pipelines.models.tables import aligned

    for line in aligned([[printable(cell) for cell in row] for row in rows]):
        typer.echo(line)


def print_line(text: str, *, err: bool = False) -> None:
    """Print a line that may hold names from outside."""
    typer.echo(printable(text), err=err)


def print_summary(summary: "Summary", *, err: bool = False) -> None:
    """Print the lines that end a run."""
    from pipelines.local.summary import render

    for line in render(summary):
        print_line(line, err=err)
