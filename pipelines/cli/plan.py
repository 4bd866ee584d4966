"""`mnist-pipeline plan`: the resolved plan of a run, its schema, and the options that shape it."""

import json
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.answers import print_line

app = typer.Typer()

DataFlag = Annotated[
    str | None,
    typer.Option(
        "--data",
        help="auto, mnist, digits, or the path or URI of other images. auto, the default, takes $MNIST_DATA_URI, "
        "the stored copy or the public mirrors, and without a network the bundled digits.",
    ),
]
RecipeFlag = Annotated[
    str | None, typer.Option("--recipe", help="fast, best, or seed for the tutorial's training.")
]
TrialsFlag = Annotated[
    int | None, typer.Option("--trials", help="Configurations to try, the baseline included.")
]
SetFlag = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Any option of a run, such as training.dropout=0.1 or epochs=2; may be repeated.",
    ),
]
PodsFlag = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="What every step's pod is given, such as memory_limit=8Gi or queue=team-a; may be repeated.",
    ),
]
PlanFlag = Annotated[
    Path | None,
    typer.Option("--plan", metavar="FILE", help="YAML or JSON file of options; --set counts more."),
]


@app.command()
def plan(
    data: DataFlag = None,
    recipe: RecipeFlag = None,
    trials: TrialsFlag = None,
    settings: SetFlag = None,
    plan_file: PlanFlag = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print plan and origins as one JSON object.")
    ] = False,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of run.json.")] = False,
) -> None:
    """Show the plan of a run with these options, and where each value comes from; nothing is started."""
    from components.common.plan.resolve import values_of
    from components.common.plan.run import RunPlan
    from pipelines.parameters import request

    if schema:
        typer.echo(json.dumps(RunPlan.model_json_schema(), indent=2))
        return
    flags = {"data.source": data, "recipe": recipe, "search.trials": trials}
    resolved = request(settings or [], plan_file=plan_file, flags=flags, local=True).resolved()
    if as_json:
        document = {"plan": resolved.plan.model_dump(mode="json"), "origins": resolved.origins}
        typer.echo(json.dumps(document, indent=2))
        return
    values = {name: _text(value) for name, value in values_of(resolved.plan).items()}
    widths = max(map(len, values)), max(len(text) for text in values.values() if len(text) <= LONGEST)
    for name, text in values.items():
        print_line(f"{name:{widths[0]}}  {text:{widths[1]}}  {resolved.origins[name]}")


LONGEST = 40


def _text(value: object) -> str:
    return "not set" if value is None else value if isinstance(value, str) and value else json.dumps(value)
