"""Answers of the commands on the terminal: a table, or one JSON document."""

import json
from typing import Any

import typer


def print_json(document: dict[str, Any]) -> None:
    typer.echo(json.dumps(document, indent=2))


def print_table(rows: list[list[str]]) -> None:
    from pipelines.models.tables import aligned

    typer.echo("\n".join(aligned(rows)))
