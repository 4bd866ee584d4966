"""Operations on the registry by hand: approval and promotion of a version, and rollback to the champion before."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from components.common.errors import PipelineError
from components.common.model.aliases import CHAMPION
from components.common.model.lineage import stored_judgement
from components.common.model.signing import SIGNATURE_FILE, SigningKey, Statement, signed, version_digests
from components.common.tracking.client import all_pages
from components.common.tracking.tags import APPROVAL, PIPELINE_RUN, SIGNING_KEY, WAITING
from components.register.choose import choose_model, choose_version
from components.register.journal import champion_of, move_champion, settle, settled_moves
from components.register.verify import verify

if TYPE_CHECKING:
    from mlflow import MlflowClient


def find_model(client: "MlflowClient", given: str) -> str:
    """Return the name of a registered model: `given`, or the only one where `given` is empty.

    Raises:
        PipelineError: There is no such model, or `given` is empty and there are several.
    """
    return choose_model((model.name for model in all_pages(client.search_registered_models)), given)


def find_version(client: "MlflowClient", name: str, given: str) -> str:
    """Return the number of a version that is given by number, such as `3` or `v3`, or by alias.

    Raises:
        PipelineError: There is no such version.
    """
    aliases = {alias: str(version) for alias, version in client.get_registered_model(name).aliases.items()}
    found = all_pages(client.search_model_versions, f"name = '{name}'")
    versions = (str(version.version) for version in found)
    return choose_version(name, versions, aliases, given)


def promote(
    client: "MlflowClient", name: str, version: str, who: str, why: str, *, allow_unsigned: bool = False
) -> bool:
    """Verify a version and make it the champion.

    Returns:
        False where it is the champion already.

    Raises:
        PipelineError: The version is not what was registered, or must be signed but is not, or somebody else moved the
            champion meanwhile.
    """
    before = settle(client, name)
    _require_sound(client, name, version, allow_unsigned)
    return move_champion(client, name, before=before, after=version, action="promote", who=who, why=why)


def approve(
    client: "MlflowClient", name: str, version: str, who: str, why: str, *, allow_unsigned: bool = False
) -> bool:
    """Verify a version that waits for approval, and make it the champion.

    Returns:
        False where it is the champion already.

    Raises:
        PipelineError: The version does not wait; the champion is not the one that it was compared with; or it is
            refused as `promote` refuses one.
    """
    if settle(client, name) == version:
        return False
    if client.get_model_version(name, version).tags.get(APPROVAL) != WAITING:
        raise PipelineError(
            f"{name} version {version} must wait for approval but does not: look at `mnist-pipeline models list`, "
            "or give it to `mnist-pipeline models promote`."
        )
    with TemporaryDirectory() as scratch:
        directory = Path(scratch, "model")
        verify(client, name, version, directory, allow_unsigned=allow_unsigned).require()
        judgement = stored_judgement(directory)
    before = judgement.champion_version if judgement else None
    return move_champion(client, name, before=before or "", after=version, action="approve", who=who, why=why)


def rollback(
    client: "MlflowClient", name: str, who: str, why: str, *, allow_unsigned: bool = False
) -> tuple[str, str]:
    """Undo the last move: make the champion before it the champion again.

    After a rollback a second one changes nothing, because it would restore the version that was just left.

    Returns:
        The champion before and after the rollback.

    Raises:
        PipelineError: There was no champion before, its files have changed, the last moves are not to be trusted, or
            somebody else moved the champion.
    """
    counting = [move for move in settled_moves(client, name) if move.counts]
    champion = champion_of(counting)
    last = counting[-1] if counting else None
    if last is not None and last.action == "rollback":
        return champion, champion
    if last is None or not last.before:
        raise PipelineError(
            f"a rollback must have an earlier {CHAMPION} to restore but {name!r} has none: promote a version instead."
        )
    # The move before made the champion that the rollback restores.
    for move in counting[-2:]:
        if move.problem and not allow_unsigned:
            raise PipelineError(
                f"the last two moves of {name!r} must be signed by a trusted key to be undone but of move "
                f"{move.number}, {move.problem}: promote a version instead, or give --allow-unsigned."
            )
    previous = find_version(client, name, last.before)
    _require_sound(client, name, previous, allow_unsigned)
    move_champion(client, name, before=champion, after=previous, action="rollback", who=who, why=why)
    return champion, previous


def sign_version(client: "MlflowClient", name: str, version: str, key: SigningKey) -> None:
    """Sign a version that is what was registered, in place of an earlier signature.

    Raises:
        PipelineError: It is not what was registered, or its present signature, by a trusted key, is not of its files.
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    with TemporaryDirectory() as scratch:
        directory = Path(scratch, "model")
        verify(client, name, version, directory, allow_unsigned=True).require()
        run = client.get_model_version(name, version).tags.get(PIPELINE_RUN, "")
        statement = Statement(name, run, version_digests(directory))
        (directory / SIGNATURE_FILE).write_bytes(signed(statement, key))
        place = client.get_model_version_download_uri(name, version)
        get_artifact_repository(place).log_artifact(str(directory / SIGNATURE_FILE))
    client.set_model_version_tag(name, version, SIGNING_KEY, key.id)


def _require_sound(client: "MlflowClient", name: str, version: str, allow_unsigned: bool) -> None:
    with TemporaryDirectory() as scratch:
        verify(client, name, version, Path(scratch, "model"), allow_unsigned=allow_unsigned).require()
