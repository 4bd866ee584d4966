"""What an operator does to the registry by hand: promote a version, or go back to the one before."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from components.common.errors import PipelineError
from components.common.model.aliases import CHAMPION
from components.register.journal import HISTORY_SUFFIX, move_champion, read_moves, settle
from components.register.verify import verify

if TYPE_CHECKING:
    from mlflow import MlflowClient


def find_model(client: "MlflowClient", given: str) -> str:
    """Return the registered model to work on: `given`, or the only one there is.

    Raises:
        PipelineError: There is no such model, or more than one to choose from.
    """
    found = client.search_registered_models(max_results=1000)
    names = sorted(model.name for model in found if not model.name.endswith(HISTORY_SUFFIX))
    if given in names or (not given and len(names) == 1):
        return given or names[0]
    if not names:
        raise PipelineError("the registry must hold a model but is empty: run the pipeline first.")
    wrong = f"{given!r} is none of them" if given else "there are several"
    raise PipelineError(f"a registered model must be named with --model but {wrong}: {', '.join(names)}.")


def find_version(client: "MlflowClient", name: str, given: str) -> str:
    """Return the version that `given` means: a number, or an alias such as champion.

    Raises:
        PipelineError: There is no such version.
    """
    aliases = {alias: str(version) for alias, version in client.get_registered_model(name).aliases.items()}
    versions = {str(found.version) for found in client.search_model_versions(f"name = '{name}'")}
    version = aliases.get(given, given.removeprefix("v"))
    if version not in versions:
        choice = ", ".join([*sorted(versions, key=int), *sorted(aliases)]) or "none"
        raise PipelineError(f"{name!r} has no version {given!r}: choose from {choice}.")
    return version


def promote(client: "MlflowClient", name: str, version: str, who: str, why: str) -> bool:
    """Make a sound version the champion.

    Returns:
        False where it was already.

    Raises:
        PipelineError: The version is not what was registered, or somebody else moved the champion meanwhile.
    """
    before = settle(client, name)
    _require_sound(client, name, version)
    return move_champion(client, name, before=before, after=version, action="promote", who=who, why=why)


def rollback(client: "MlflowClient", name: str, who: str, why: str) -> tuple[str, str]:
    """Make the version champion again that was it before the last move.

    A second call does nothing: it would bring back what was just rolled back.

    Returns:
        The champion before and after.

    Raises:
        PipelineError: There was no champion before, it is not sound any more, or somebody else moved the champion.
    """
    champion = settle(client, name)
    last = next((move for move in reversed(read_moves(client, name)) if move.counts), None)
    if last is not None and last.action == "rollback":
        return champion, champion
    if last is None or not last.before:
        raise PipelineError(
            f"a rollback goes to the {CHAMPION} before but {name!r} never had another: promote a version instead."
        )
    previous = find_version(client, name, last.before)
    _require_sound(client, name, previous)
    move_champion(client, name, before=champion, after=previous, action="rollback", who=who, why=why)
    return champion, previous


def _require_sound(client: "MlflowClient", name: str, version: str) -> None:
    with TemporaryDirectory() as scratch:
        verify(client, name, version, Path(scratch, "model")).require()
