"""`mnist-pipeline models` and `mnist-pipeline reproduce`: commands on registered versions."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from pipelines.cli.answers import print_json, print_line, print_table
from pipelines.cli.options import (
    DEFAULT_HOME,
    AllowUnsignedOption,
    HomeOption,
    JsonOption,
    ModelOption,
    VersionArgument,
    WhyOption,
)

app = typer.Typer(
    help="List, compare, verify, approve, promote and roll back registered models.", no_args_is_help=True
)
# Commands beside `models`, not below it.
top_level = typer.Typer()


@app.command(name="list")
def list_versions(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many of the newest at most.")] = 50,
    home: HomeOption = DEFAULT_HOME,
    model: ModelOption = "",
    as_json: JsonOption = False,
) -> None:
    """List the versions, newest first, and older ones that have an alias."""
    from pipelines.models.descriptions import describe_versions
    from pipelines.models.reader import open_reader
    from pipelines.models.tables import version_rows

    with open_reader(home) as reader:
        name, found = describe_versions(reader, model, newest=limit)
    if as_json:
        print_json({"model": name, "versions": found})
        return
    print_line(name)
    print_table(version_rows(found))


@app.command(name="show")
def show_version(
    version: VersionArgument,
    home: HomeOption = DEFAULT_HOME,
    model: ModelOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show a version's metrics, configuration and lineage."""
    from pipelines.models.descriptions import describe_versions
    from pipelines.models.reader import open_reader
    from pipelines.models.tables import detail_rows

    with open_reader(home) as reader:
        name, (details,) = describe_versions(reader, model, version)
        about = {found.version: found.description for found in reader.versions(name)}
    if as_json:
        print_json({"model": name, **details})
        return
    print_line(name)
    print_table(detail_rows(details))
    for line in f"\n{about[details['version']]}".rstrip().split("\n"):
        print_line(line)


@app.command(name="diff")
def diff_versions(
    a: VersionArgument,
    b: VersionArgument,
    home: HomeOption = DEFAULT_HOME,
    model: ModelOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show in what two versions differ: metrics, configuration, data, code, machine."""
    from pipelines.models.descriptions import describe_versions
    from pipelines.models.reader import open_reader
    from pipelines.models.tables import difference_rows, version_differences

    with open_reader(home) as reader:
        name, (first, second) = describe_versions(reader, model, a, b)
    numbers = [first["version"], second["version"]]
    differing = version_differences(first, second)
    if as_json:
        print_json({"model": name, "versions": numbers, "differences": differing})
    elif differing:
        print_table([[name, *(f"version {number}" for number in numbers)], *difference_rows(differing)])
    else:
        print_line(f"{name}: versions {numbers[0]} and {numbers[1]} are alike")


@app.command(name="verify")
def verify_version(
    version: VersionArgument,
    home: HomeOption = DEFAULT_HOME,
    model: ModelOption = "",
    allow_unsigned: AllowUnsignedOption = False,
) -> None:
    """Check that a version's signature, files, schema and answers are those that were registered."""
    from components.register.steer import find_version
    from components.register.verify import verify
    from pipelines.models.versions import open_model

    with open_model(home, model) as (client, name), TemporaryDirectory() as scratch:
        number = find_version(client, name, version)
        verification = verify(client, name, number, Path(scratch, "model"), allow_unsigned=allow_unsigned)
    verification.require()
    print_line(
        f"{name} version {verification.version} is what was registered: {verification.files} files, schema, stored "
        f"answers (largest difference {verification.difference:.1g})"
    )


@app.command(name="register")
def register_candidate_of(
    run: Annotated[str, typer.Argument(help="Name or id of a run whose last step failed.")],
    judgement: Annotated[
        str | None,
        typer.Option(
            help="SHA-256 of its judgement.json, which Kubeflow shows as the output of Evaluate; without it, what the "
            "store keeps is trusted."
        ),
    ] = None,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Register the candidate of a run whose last step failed, with the checks of that step."""
    from pipelines.models.registration import register_run

    print_line(register_run(home, run, judgement))


@app.command(name="sign")
def sign_versions(
    versions: Annotated[list[str], typer.Argument(help="Numbers, or aliases such as champion.")],
    home: HomeOption = DEFAULT_HOME,
    model: ModelOption = "",
) -> None:
    """Sign versions with this home's key, or that of MODEL_SIGNING_KEY, after verifying them."""
    from components.common.model.signing import signing_key
    from components.register.steer import find_version, sign_version
    from pipelines.models.versions import open_model

    with open_model(home, model) as (client, name):
        key = signing_key()
        for version in versions:
            number = find_version(client, name, version)
            sign_version(client, name, number, key)
            print_line(f"{name} version {number} is signed by the key {key.id[:12]}")


@app.command(name="approve")
def approve_version(
    version: VersionArgument,
    why: Annotated[str, typer.Option("--why", help="Reason, for the record.")],
    home: HomeOption = DEFAULT_HOME,
    model: ModelOption = "",
    allow_unsigned: AllowUnsignedOption = False,
) -> None:
    """Make a version that waits for approval the champion, after verifying it."""
    from components.register.steer import approve

    _choose(approve, version, why, home, model, allow_unsigned)


@app.command(name="promote")
def promote_version(
    version: VersionArgument,
    why: WhyOption = "",
    home: HomeOption = DEFAULT_HOME,
    model: ModelOption = "",
    allow_unsigned: AllowUnsignedOption = False,
) -> None:
    """Make a version the champion, after verifying it."""
    from components.register.steer import promote

    _choose(promote, version, why, home, model, allow_unsigned)


def _choose(
    choice: Callable[..., bool], version: str, why: str, home: Path, model: str, allow_unsigned: bool
) -> None:
    from components.register.steer import find_version
    from pipelines.models.versions import open_model, operator, tell_champion

    with open_model(home, model) as (client, name):
        number = find_version(client, name, version)
        moved = choice(client, name, number, operator(), why, allow_unsigned=allow_unsigned)
        if moved:
            tell_champion(name, number, operator(), why)
    print_line(f"{name} version {number} is {'the new champion' if moved else 'the champion already'}")


@app.command(name="rollback")
def restore_champion(
    why: WhyOption = "",
    home: HomeOption = DEFAULT_HOME,
    model: ModelOption = "",
    allow_unsigned: AllowUnsignedOption = False,
) -> None:
    """Bring back the champion before; a second rollback in a row changes nothing."""
    from components.register.steer import rollback
    from pipelines.models.versions import open_model, operator, tell_champion

    with open_model(home, model) as (client, name):
        before, after = rollback(client, name, operator(), why, allow_unsigned=allow_unsigned)
        if before != after:
            tell_champion(name, after, operator(), why)
    if before == after:
        print_line(
            f"{name} version {after} is the champion, by a rollback already; promote to go further back"
        )
    else:
        print_line(f"{name} version {after} is the champion again, instead of version {before}")


@app.command(name="history")
def show_history(
    home: HomeOption = DEFAULT_HOME, model: ModelOption = "", as_json: JsonOption = False
) -> None:
    """Show every move of the champion alias: who, when, from, to, why."""
    from components.common.settings import exported
    from components.register.journal import champion_of
    from pipelines.local.home import Home
    from pipelines.local.home_keys import trust_variables
    from pipelines.models.descriptions import count_decisions, describe_moves, waiting_versions
    from pipelines.models.reader import open_reader
    from pipelines.models.tables import move_rows

    with exported(trust_variables(Home(home))), open_reader(home) as reader:
        name, champion, moves = describe_moves(reader, model)
        decisions, waiting = count_decisions(reader, name), waiting_versions(reader, name)
    if as_json:
        listed = [asdict(move) for move in moves]
        told = {"model": name, "champion": champion, "waiting": waiting, "moves": listed}
        print_json({**told, "decisions": decisions})
        return
    print_line(f"{name}: champion is {f'version {champion}' if champion else 'none'}")
    print_table(move_rows(moves))
    for number in waiting:
        print_line(
            f"version {number} waits for approval: mnist-pipeline models approve {number} --why REASON"
        )
    for split, count in decisions.items():
        often = f"{count} times" if count > 1 else "once"
        print_line(f"test split {split} has decided {often}: each decision makes the next promotion harder")
    for move in moves:
        if move.problem:
            print_line(f"warning: do not trust move {move.number}: {move.problem}")
    if champion_of(moves) != champion:
        print_line(
            f"the moves lead to {champion_of(moves) or 'none'}: the next run, promotion or rollback settles it"
        )


@top_level.command(name="reproduce")
def reproduce_version(
    version: VersionArgument,
    model: ModelOption = "",
    home: HomeOption = DEFAULT_HOME,
    target: Annotated[
        Path | None, typer.Option(help="Keep the model that was trained in this new directory.")
    ] = None,
    allow_unsigned: AllowUnsignedOption = False,
) -> None:
    """Train a version again, on the same data with the same configuration, and compare the weights."""
    from components.register.steer import find_version
    from pipelines.models.reproduce import Recorded, reproduce
    from pipelines.models.versions import all_servers, open_model

    # The data may be in the embedded store although the version is on a server of one's own.
    with (
        all_servers(home),
        open_model(home, model) as (client, name),
        TemporaryDirectory() as scratch,
    ):
        number = find_version(client, name, version)
        recorded = Recorded.of(client, name, number, allow_unsigned=allow_unsigned)
        outcome = reproduce(recorded, Path(scratch), target, print_line)
    for line in outcome.lines():
        print_line(line)
    if not outcome.identical:
        raise typer.Exit(1)
