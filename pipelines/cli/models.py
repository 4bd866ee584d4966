"""`mnist-pipeline models`: look at the registry, and steer it."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

app = typer.Typer(
    help="List, compare, verify, promote and roll back registered models.", no_args_is_help=True
)

HomeOption = Annotated[
    Path,
    typer.Option("--home", help="Directory of the embedded platform; not used with MLFLOW_TRACKING_URI."),
]
ModelOption = Annotated[str, typer.Option("--model", help="Registered model; not needed where there is one.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
WhyOption = Annotated[str, typer.Option("--why", help="Reason, for the record.")]
VersionArgument = Annotated[str, typer.Argument(help="A number, or an alias such as champion.")]
DEFAULT_HOME = Path(".mnist-pipeline")


@app.command(name="list")
def list_command(
    home: HomeOption = DEFAULT_HOME, model: ModelOption = "", as_json: JsonOption = False
) -> None:
    """List the versions, newest first."""
    from components.register.steer import find_model
    from pipelines.models.versions import describe, open_registry, table, versions

    with open_registry(home) as client:
        name = find_model(client, model)
        found = [describe(client, version) for version in versions(client, name)]
    if as_json:
        typer.echo(json.dumps({"model": name, "versions": found}, indent=2))
        return
    rows = [
        ["version", "aliases", "test accuracy", "recipe", "seed", "registered (UTC)", "commit", "weights"]
    ]
    for version in found:
        accuracy = version.get("test_accuracy")
        rows.append(
            [
                version["version"],
                ", ".join(version["aliases"]),
                f"{accuracy:.4f}" if accuracy is not None else "",
                *(version.get(key, "") for key in ("recipe", "seed", "registered")),
                *(version.get(key, "")[:8] for key in ("git_sha", "weights_digest")),
            ]
        )
    typer.echo(name)
    typer.echo("\n".join(table(rows)))


@app.command()
def show(
    version: VersionArgument,
    home: HomeOption = DEFAULT_HOME,
    model: ModelOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show a version's metrics, configuration and lineage."""
    from components.register.steer import find_model, find_version
    from pipelines.models.versions import describe, open_registry, table, versions

    with open_registry(home) as client:
        name = find_model(client, model)
        number = find_version(client, name, version)
        found = next(entry for entry in versions(client, name) if str(entry.version) == number)
        about = describe(client, found)
    if as_json:
        typer.echo(json.dumps({"model": name, **about}, indent=2))
        return
    typer.echo(name)
    typer.echo("\n".join(table([[key, _text(value)] for key, value in about.items()])))
    typer.echo(f"\n{found.description or ''}".rstrip())


@app.command()
def diff(
    a: VersionArgument,
    b: VersionArgument,
    home: HomeOption = DEFAULT_HOME,
    model: ModelOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show in what two versions differ: metrics, configuration, data, code, machine."""
    from components.register.steer import find_model, find_version
    from pipelines.models.versions import describe, open_registry, table, versions

    with open_registry(home) as client:
        name = find_model(client, model)
        numbers = [find_version(client, name, given) for given in (a, b)]
        known = {str(entry.version): entry for entry in versions(client, name)}
        first, second = (describe(client, known[number]) for number in numbers)
    keys = [
        key
        for key in [*first, *(key for key in second if key not in first)]
        if key not in {"version", "aliases"}
    ]
    differing = {key: [first.get(key), second.get(key)] for key in keys if first.get(key) != second.get(key)}
    if as_json:
        typer.echo(json.dumps({"model": name, "versions": numbers, "differences": differing}, indent=2))
        return
    rows = [[f"{name}", *(f"version {number}" for number in numbers)]]
    rows += [[key, *map(_text, values)] for key, values in differing.items()]
    typer.echo(
        "\n".join(table(rows)) if differing else f"{name}: versions {numbers[0]} and {numbers[1]} are alike"
    )


@app.command()
def verify(version: VersionArgument, home: HomeOption = DEFAULT_HOME, model: ModelOption = "") -> None:
    """Check that a version's files, schema and answers are those that were registered."""
    from components.register.steer import find_model, find_version
    from components.register.verify import verify as check
    from pipelines.models.versions import open_registry

    with open_registry(home) as client, TemporaryDirectory() as scratch:
        name = find_model(client, model)
        verification = check(client, name, find_version(client, name, version), Path(scratch, "model"))
    verification.require()
    typer.echo(
        f"{name} version {verification.version} is what was registered: {verification.files} files, schema, stored "
        f"answers (largest difference {verification.difference:.1g})"
    )


@app.command()
def promote(
    version: VersionArgument, why: WhyOption = "", home: HomeOption = DEFAULT_HOME, model: ModelOption = ""
) -> None:
    """Make a version the champion, after verifying it."""
    from components.register import steer
    from pipelines.models.versions import open_registry, operator

    with open_registry(home) as client:
        name = steer.find_model(client, model)
        number = steer.find_version(client, name, version)
        moved = steer.promote(client, name, number, operator(), why)
    typer.echo(f"{name} version {number} is {'the new champion' if moved else 'the champion already'}")


@app.command()
def rollback(why: WhyOption = "", home: HomeOption = DEFAULT_HOME, model: ModelOption = "") -> None:
    """Bring back the champion before; a second rollback in a row changes nothing."""
    from components.register import steer
    from pipelines.models.versions import open_registry, operator

    with open_registry(home) as client:
        name = steer.find_model(client, model)
        before, after = steer.rollback(client, name, operator(), why)
    if before == after:
        typer.echo(
            f"{name} version {after} is the champion, by a rollback already; promote to go further back"
        )
    else:
        typer.echo(f"{name} version {after} is the champion again, instead of version {before}")


@app.command()
def history(home: HomeOption = DEFAULT_HOME, model: ModelOption = "", as_json: JsonOption = False) -> None:
    """Show every move of the champion alias: who, when, from, to, why."""
    from dataclasses import asdict

    from components.register.journal import read_moves, settle
    from components.register.steer import find_model
    from pipelines.models.versions import open_registry, table, when

    with open_registry(home) as client:
        name = find_model(client, model)
        champion = settle(client, name)
        moves = read_moves(client, name)
    if as_json:
        typer.echo(
            json.dumps(
                {"model": name, "champion": champion, "moves": [asdict(move) for move in moves]}, indent=2
            )
        )
        return
    rows = [["move", "when (UTC)", "action", "from", "to", "who", "why"]]
    for move in moves:
        action = move.action if move.counts else f"{move.action}, void: another came first"
        change = move.before or "none", move.after or "none"
        rows.append([str(move.number), when(move.time), action, *change, move.who, move.why])
    typer.echo(f"{name}: champion is {f'version {champion}' if champion else 'none'}")
    typer.echo("\n".join(table(rows)))


def _text(value: object) -> str:
    if value is None or value == []:
        return "-"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
