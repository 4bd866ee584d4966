"""`mnist-pipeline prune`: removal of what earlier runs have left."""

from typing import Annotated

import typer

from pipelines.cli.answers import print_line
from pipelines.cli.options import DEFAULT_HOME, HomeOption

app = typer.Typer()


@app.command()
def prune(
    keep: Annotated[int, typer.Option(min=1, help="How many of the latest runs stay.")] = 50,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; without this it is only said.")] = False,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Remove what earlier runs have left; registered versions, their runs and whatever is in use stay."""
    from pipelines.local.home import Home
    from pipelines.local.prune import prune_home

    prune_home(Home(home), keep, delete=yes, show=print_line)
    print_line("removed" if yes else "nothing is removed: give --yes")
