"""`mnist-pipeline data`: commands that look at data before anything is trained."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from components.common.errors import PipelineError
from pipelines.cli.answers import print_line
from pipelines.cli.options import DEFAULT_HOME, HomeOption, JsonOption
from pipelines.cli.plan import PlanFlag, RecipeFlag, SetFlag

app = typer.Typer(help="Look at data before a run.", no_args_is_help=True)


@app.command()
def inspect(
    data: Annotated[
        str, typer.Argument(metavar="PATH", help="mnist, digits, or a path or URI of other data.")
    ],
    recipe: RecipeFlag = None,
    settings: SetFlag = None,
    plan_file: PlanFlag = None,
    sheet: Annotated[Path, typer.Option(help="PNG file to draw examples of each class into.")] = Path(
        "contact-sheet.png"
    ),
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Say what a run would see of the data; nothing is trained.

    Reads the data as a run does: form, size, classes, parts, duplicates, and what looks suspicious. Exits with 1 where
    a run would refuse the data. A server is started only where the data is in the embedded store.
    """
    from components.common.storage.address import looked_up
    from pipelines.data.inspect import inspect_data
    from pipelines.local.data import local_data
    from pipelines.local.store_of import store_of
    from pipelines.parameters import request

    _require_picture(sheet)
    source, name = local_data(data, lambda warning: print_line(warning, err=True))
    flags = {"data.source": source, "data.name": name, "recipe": recipe}
    resolved = request(settings or [], plan_file=plan_file, flags=flags, local=True).resolved()
    with store_of([looked_up(resolved.plan.data.source)], home):
        found = inspect_data(resolved, sheet)
    if as_json:
        typer.echo(json.dumps({**found.as_json(), "sheet": str(sheet)}))
    else:
        for line in found.lines():
            print_line(line)
        print_line(f"sheet     {sheet}")
    if found.refusal:
        raise typer.Exit(1)


def _require_picture(sheet: Path) -> None:
    """Refuse a file that cannot be written as PNG, before the data is read."""
    fits = sheet.suffix.lower() == ".png" and not sheet.is_dir() and os.access(sheet.parent, os.W_OK)
    if not fits:
        raise PipelineError(
            f"--sheet must be a PNG file in a directory that can be written but is {sheet}: name another."
        )
