"""Who moved the champion alias, when, from where to where, and why.

MLflow moves an alias without asking where it was, so that of two moves at the same time one would vanish. It does
number the versions of a registered model itself, in one transaction, and never gives a number twice. So the moves
are versions of a registered model beside the one that they are about, ``NAME.history``: a list that everybody can
append to and that has one order for all. A move says from which version it goes; it counts if that was the champion
by then, else another move came first and it is void. The alias follows the list.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.common.errors import PipelineError
from components.common.model.aliases import CHAMPION

if TYPE_CHECKING:
    from mlflow import MlflowClient

HISTORY_SUFFIX = ".history"
ABOUT_TAG = "history_of"
APPLIED_TAG = "applied"
# A mover sets the alias within moments of its entry; one that has not by then died, or the alias was moved by hand.
SETTLE_SECONDS = 2.0


@dataclass(frozen=True)
class Move:
    """One entry; `before` and `after` are versions, "" for none.

    Attributes:
        time: Milliseconds since 1970 by the server's clock.
        action: What moved it: register, promote, rollback, or outside for a move by other means than this package.
        counts: False where another move came first.
        applied: Whether the mover lived to set the alias.
    """

    number: int
    time: int
    action: str
    before: str
    after: str
    who: str
    why: str
    counts: bool
    applied: bool


def read_moves(client: "MlflowClient", name: str) -> list[Move]:
    """Return all moves of the champion of `name`, oldest first."""
    entries, token = [], None
    while True:
        page = client.search_model_versions(f"name = '{name}{HISTORY_SUFFIX}'", page_token=token)
        entries += page
        token = page.token
        if not token:
            break
    moves: list[Move] = []
    champion = ""
    for entry in sorted(entries, key=lambda found: int(found.version)):
        tags = entry.tags
        counts = tags["before"] == champion and tags["after"] != champion
        champion = tags["after"] if counts else champion
        moves.append(
            Move(
                int(entry.version), entry.creation_timestamp, tags["action"], tags["before"], tags["after"],
                tags["who"], tags["why"], counts, APPLIED_TAG in tags,
            )
        )  # fmt: skip
    return moves


def champion_of(moves: Sequence[Move]) -> str:
    """Return the version that the moves end at, "" for none."""
    return next((move.after for move in reversed(moves) if move.counts), "")


def alias_champion(client: "MlflowClient", name: str) -> str:
    """Return the version that holds the alias, "" for none."""
    return str(client.get_registered_model(name).aliases.get(CHAMPION, ""))


def move_champion(
    client: "MlflowClient", name: str, *, before: str, after: str, action: str, who: str, why: str
) -> bool:
    """Move the alias from `before` to `after`, both versions ("" for no champion yet), and record it.

    Returns:
        False where `after` is the champion already, and there was nothing to do.

    Raises:
        PipelineError: The champion is another version than `before`, or another move came first.
    """
    champion = settle(client, name)
    if champion == after:
        return False
    if champion == before:
        number = _append(client, name, action=action, before=before, after=after, who=who, why=why)
        champion = _follow(client, name)
        own = next(move for move in read_moves(client, name) if move.number == number)
        if own.counts:
            client.set_model_version_tag(name + HISTORY_SUFFIX, str(number), APPLIED_TAG, "true")
            return True
        if champion == after:
            return False
    last = next(move for move in reversed(read_moves(client, name)) if move.counts)
    raise PipelineError(
        f"the champion of {name!r} must still be version {before or '(none)'} but is now {champion or '(none)'}, "
        f"moved by {last.who} ({last.action}): look at `mnist-pipeline models history` and decide again."
    )


def settle(client: "MlflowClient", name: str) -> str:
    """Make list and alias agree, and return the champion.

    They differ for a moment while somebody moves the alias, for good where he died before he could, or where it was
    moved by hand. What a dead one meant to do is done; a move by hand is recorded as one from outside.
    """
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        moves = read_moves(client, name)
        recorded, actual = champion_of(moves), alias_champion(client, name)
        if recorded == actual:
            return actual
        if time.monotonic() > deadline:
            break
        time.sleep(0.2)
    last = next((move for move in reversed(moves) if move.counts), None)
    if last is not None and not last.applied:
        return _follow(client, name)
    why = "found so" if last else "champion before this record began"
    number = _append(client, name, action="outside", before=recorded, after=actual, who="unknown", why=why)
    client.set_model_version_tag(name + HISTORY_SUFFIX, str(number), APPLIED_TAG, "true")
    return _follow(client, name)


def _follow(client: "MlflowClient", name: str) -> str:
    """Set the alias to where the list ends, until that is where it ended before too; return it.

    Whoever sets the alias looks at the list again afterwards, so that the last one to set it sets it right.
    """
    champion = None
    while (latest := champion_of(read_moves(client, name))) != champion:
        champion = latest
        if champion:
            client.set_registered_model_alias(name, CHAMPION, champion)
        else:
            client.delete_registered_model_alias(name, CHAMPION)
    return champion


def _append(client: "MlflowClient", name: str, **tags: str) -> int:
    from mlflow.exceptions import RestException

    history = name + HISTORY_SUFFIX
    about = f"Every move of the alias {CHAMPION!r} of {name}: its versions are moves, not models."
    try:
        client.create_registered_model(history, {ABOUT_TAG: name}, about)
    except RestException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    said = f"{tags['action']}: {tags['before'] or 'none'} -> {tags['after'] or 'none'} by {tags['who']}. {tags['why']}"
    # MLflow wants to know where the "model" lies: it is given the version that the alias moves to.
    shown = tags["after"] or _any_version(client, name)
    entry = client.create_model_version(
        history, f"models:/{name}/{shown}", tags=tags, description=said, await_creation_for=0
    )
    return int(entry.version)


def _any_version(client: "MlflowClient", name: str) -> str:
    return str(client.search_model_versions(f"name = '{name}'", max_results=1)[0].version)
