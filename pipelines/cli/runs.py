"""`mnist-pipeline runs`: the pipeline's runs, as MLflow has recorded them."""

from typing import Annotated

import typer

from pipelines.cli.answers import print_json, print_line, print_table
from pipelines.cli.options import DEFAULT_HOME, HomeOption, JsonOption

app = typer.Typer(help="List and show the pipeline's runs.", no_args_is_help=True)


@app.command(name="list")
def list_runs(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many runs at most.")] = 20,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """List the runs, newest first."""
    from pipelines.models.reader import open_reader
    from pipelines.models.runs import describe_runs
    from pipelines.models.tables import run_rows

    with open_reader(home) as reader:
        found = describe_runs(reader, limit)
    if as_json:
        print_json({"runs": found})
    elif found:
        print_table(run_rows(found))
    else:
        print_line("no runs yet")


@app.command(name="show")
def show_run(
    run: Annotated[str, typer.Argument(help="Name or id of a run.")],
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Show a run's outcome, configuration and metrics."""
    from pipelines.models.reader import open_reader
    from pipelines.models.runs import describe_run
    from pipelines.models.tables import detail_rows

    with open_reader(home) as reader:
        details = describe_run(reader, run)
    if as_json:
        print_json(details)
    else:
        print_table(detail_rows(details))
