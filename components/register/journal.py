"""Record of the moves of the champion alias: time, author, versions and reason of each.

MLflow moves an alias without a check of the version that it pointed to. Of two moves at the same time one would be
lost. But MLflow numbers the versions of a registered model in a transaction, and uses no number twice. So each move
is stored as a version of a second registered model, `NAME.history`: a list that every process can append to, and
whose order is the same for all. A move names the version that it starts from. It counts if that version was the
champion at this place in the list. Otherwise another move came first, and it is void. The alias follows the list.

Each entry is signed, and names the digest of the move before it that counts. So an entry that somebody else added,
changed or took out is told.
"""

import base64
import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Protocol

from components.common.errors import PipelineError
from components.common.model.aliases import CHAMPION, HISTORY_SUFFIX
from components.common.model.signing import SignatureError, TrustedKeys, signing_key, trusted_keys
from components.common.tracking.client import all_pages
from components.common.tracking.tags import APPROVAL, APPROVED, SIGNING_KEY, WAITING

if TYPE_CHECKING:
    from mlflow import MlflowClient

ABOUT_TAG = "history_of"
APPLIED_TAG = "applied"
# Digest of the last move before that counts; "" for none.
PREVIOUS_TAG = "previous"
SIGNATURE_TAG = "signature"
SIGNED_TAGS = ("action", "before", "after", "who", "why", PREVIOUS_TAG)
MOVE_TYPE = "application/vnd.mnist-pipeline.move+json"
# A process sets the alias shortly after its entry. After this time it has died, or the alias was moved by hand.
SETTLE_SECONDS = 2.0
# Stands for the tags of a version of the history that is no move; from none to none, it never counts.
FOREIGN = {"action": "foreign", "before": "", "after": "", "who": "unknown", "why": "no entry of this list"}


class Entry(Protocol):
    """A version of the history, as MLflow describes it."""

    @property
    def version(self) -> str:
        """Its number."""

    @property
    def creation_timestamp(self) -> int:
        """Milliseconds since 1970 by the server's clock."""

    @property
    def tags(self) -> Mapping[str, str]:
        """Its tags."""


@dataclass(frozen=True)
class Move:
    """One entry of the list.

    Attributes:
        number: Place in the list, from 1.
        time: Milliseconds since 1970 by the server's clock.
        action: `register`, `approve`, `promote`, `rollback`, or `outside` for a move that this package did not make;
            `foreign` for a version that is no move.
        before: Version that the move starts from; "" for none.
        after: Version that the move leads to; "" for none.
        who: Author of the move.
        why: Reason of the move.
        counts: False where another move came first.
        applied: Whether the process that made the entry has set the alias too.
        digest: SHA-256 of the entry with its signature, which the next one names.
        problem: Why the entry is not to be trusted, as a clause; "" where a trusted key signed it.
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
    digest: str = ""
    problem: str = ""


def read_moves(client: "MlflowClient", name: str, known: Sequence[Move] = ()) -> list[Move]:
    """Return all moves of the champion of `name`, oldest first.

    Args:
        client: Client of the registry.
        name: The registered model.
        known: Moves that were read a moment ago. Those before the first one that is not applied are not read again.

    Raises:
        PipelineError: A trusted key cannot be read.
    """
    final = list(takewhile(lambda move: move.applied or not move.counts, known))
    query = f"name = '{name}{HISTORY_SUFFIX}'"
    if final:
        query += f" and version_number > {final[-1].number}"
    return moves_of(name, all_pages(client.search_model_versions, query), trusted_keys(), final)


def moves_of(
    name: str, entries: Iterable[Entry], keys: TrustedKeys, before: Sequence[Move] = ()
) -> list[Move]:
    """Return the moves that the versions of the history of a registered model record, oldest first.

    A version that this package did not make, for example by hand in MLflow's UI, is a move that does not count.

    Args:
        name: The registered model.
        entries: The versions.
        keys: Those that may have signed.
        before: The moves before these versions, which come first in the result too.
    """
    moves = list(before)
    champion, head = champion_of(moves), head_of(moves)
    known = {"", *(move.digest for move in moves if move.counts)}
    for entry in sorted(entries, key=lambda found: int(found.version)):
        tags = entry.tags if _is_move(entry.tags) else FOREIGN
        previous = tags.get(PREVIOUS_TAG, head)
        # One that follows an earlier move was overtaken. One that follows no known move is told but counts, lest a
        # move that somebody took out change the champion.
        overtaken = previous != head and previous in known
        counts = tags["before"] == champion and tags["after"] != champion and not overtaken
        problem = _problem(name, tags, keys)
        if not problem and previous not in known:
            problem = "the move that it follows is missing or was changed"
        digest = entry_digest(entry)
        if counts:
            champion, head = tags["after"], digest
            known.add(digest)
        moves.append(
            Move(
                int(entry.version), entry.creation_timestamp, tags["action"], tags["before"], tags["after"],
                tags["who"], tags["why"], counts, APPLIED_TAG in tags, digest, problem,
            )
        )  # fmt: skip
    return moves


def _is_move(tags: Mapping[str, str]) -> bool:
    known = tags.keys() >= FOREIGN.keys()
    return known and all(not tags[place] or tags[place].isdecimal() for place in ("before", "after"))


def _problem(name: str, tags: Mapping[str, str], keys: TrustedKeys) -> str:
    """Return why an entry is not to be trusted, as a clause."""
    if SIGNATURE_TAG not in tags:
        return "it is not signed"
    try:
        signature = base64.b64decode(tags[SIGNATURE_TAG], validate=True)
        keys.check(tags.get(SIGNING_KEY, ""), signature, MOVE_TYPE, _signed_content(name, tags))
    except (SignatureError, ValueError) as error:
        return str(error)
    return ""


def _signed_content(name: str, tags: Mapping[str, str]) -> bytes:
    return json.dumps({"model": name, **{tag: tags.get(tag) for tag in SIGNED_TAGS}}, sort_keys=True).encode()


def entry_digest(entry: Entry) -> str:
    """Return the digest by which the next entry names this one."""
    tags = {tag: entry.tags.get(tag) for tag in (*SIGNED_TAGS, SIGNATURE_TAG)}
    content = [int(entry.version), entry.creation_timestamp, tags]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def head_of(moves: Sequence[Move]) -> str:
    """Return the digest of the last valid move; "" for none."""
    return next((move.digest for move in reversed(moves) if move.counts), "")


def champion_of(moves: Sequence[Move]) -> str:
    """Return the version that the last valid move leads to; "" for none."""
    return next((move.after for move in reversed(moves) if move.counts), "")


def alias_champion(client: "MlflowClient", name: str) -> str:
    """Return the version that the alias points to; "" for none."""
    return str(client.get_registered_model(name).aliases.get(CHAMPION, ""))


def move_champion(
    client: "MlflowClient", name: str, *, before: str, after: str, action: str, who: str, why: str
) -> bool:
    """Move the alias and record the move.

    Args:
        client: Client of the registry.
        name: The registered model.
        before: Version that must be the champion; "" for none.
        after: The new champion.
        action: Kind of the move, as in `Move.action`.
        who: Author of the move.
        why: Reason of the move.

    Returns:
        False where `after` is the champion already and nothing was changed.

    Raises:
        PipelineError: The champion is another version than `before`, or another move came first.
    """
    moves = settled_moves(client, name)
    if champion_of(moves) == after:
        return False
    if champion_of(moves) == before:
        move = {"action": action, "before": before, "after": after, "who": who, "why": why}
        number = int(append_move(client, name, **move, previous=head_of(moves)).version)
        moves = _follow(client, name, moves)
        entry = next(move for move in moves if move.number == number)
        if entry.counts:
            _close_move(client, name, number, after)
            return True
        if champion_of(moves) == after:
            return False
    champion = champion_of(moves)
    counting = (move for move in reversed(moves) if move.counts)
    mover = next((f"{move.who} ({move.action})" for move in counting), "nobody")
    raise PipelineError(
        f"the champion of {name!r} must still be version {before or '(none)'} but is now {champion or '(none)'}, "
        f"moved by {mover}: look at `mnist-pipeline models history` and decide again."
    )


def settle(client: "MlflowClient", name: str) -> str:
    """Make the list and the alias agree, and return the champion; "" for none."""
    return champion_of(settled_moves(client, name))


def settled_moves(client: "MlflowClient", name: str) -> list[Move]:
    """Make the list and the alias agree, and return the list.

    They differ shortly while a process moves the alias. They differ permanently if that process died in between, or
    if the alias was moved by hand. The move of a dead process is completed. A move by hand is added to the list with
    the action `outside`.
    """
    from mlflow.exceptions import RestException

    deadline = time.monotonic() + SETTLE_SECONDS
    moves: list[Move] = []
    while True:
        moves = read_moves(client, name, moves)
        recorded, actual = champion_of(moves), alias_champion(client, name)
        if recorded == actual:
            return moves
        if time.monotonic() > deadline:
            break
        time.sleep(0.2)
    last = next((move for move in reversed(moves) if move.counts), None)
    if last is not None and not last.applied:
        try:
            return _follow(client, name, moves)
        except RestException as error:
            # It leads to a version that is deleted, or that there never was; the alias tells what holds.
            if error.error_code not in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                raise
    why = "found so" if last else "champion before this record began"
    move = {"action": "outside", "before": recorded, "after": actual, "who": "unknown", "why": why}
    entry = append_move(client, name, **move, previous=head_of(moves))
    _close_move(client, name, int(entry.version), actual)
    return _follow(client, name, moves)


def _close_move(client: "MlflowClient", name: str, number: int, champion: str) -> None:
    """Mark a move as applied, and its champion as one that does not wait any more."""
    client.set_model_version_tag(name + HISTORY_SUFFIX, str(number), APPLIED_TAG, "true")
    if champion and client.get_model_version(name, champion).tags.get(APPROVAL) == WAITING:
        client.set_model_version_tag(name, champion, APPROVAL, APPROVED)


def _follow(client: "MlflowClient", name: str, moves: list[Move]) -> list[Move]:
    """Set the alias to the version at which the list ends, of which some moves are known; return the list.

    The list is read again after the alias is set, and the alias is set again if the list has grown. So the last
    process that sets the alias sets it to the right version.
    """
    champion = None
    while (latest := champion_of(moves := read_moves(client, name, moves))) != champion:
        champion = latest
        if champion:
            client.set_registered_model_alias(name, CHAMPION, champion)
        else:
            client.delete_registered_model_alias(name, CHAMPION)
    return moves


def append_move(client: "MlflowClient", name: str, **tags: str) -> Entry:
    """Append an entry to the list, signed, without looking at the list; return it.

    Args:
        client: Client of the registry.
        name: The registered model.
        tags: Those of `SIGNED_TAGS`.
    """
    from mlflow.exceptions import RestException

    history = name + HISTORY_SUFFIX
    about = f"Every move of the alias {CHAMPION!r} of {name}: its versions are moves, not models."
    try:
        client.create_registered_model(history, {ABOUT_TAG: name}, about)
    except RestException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    change = f"{tags['before'] or 'none'} -> {tags['after'] or 'none'}"
    summary = f"{tags['action']}: {change} by {tags['who']}. {tags['why']}"
    # MLflow asks for the location of the "model": it gets the version that the alias moves to.
    target = tags["after"] or _any_version(client, name)
    key = signing_key()
    signature = base64.b64encode(key.sign(MOVE_TYPE, _signed_content(name, tags))).decode()
    signed = {**tags, SIGNATURE_TAG: signature, SIGNING_KEY: key.id}
    entry: Entry = client.create_model_version(
        history, f"models:/{name}/{target}", tags=signed, description=summary, await_creation_for=0
    )
    return entry


def _any_version(client: "MlflowClient", name: str) -> str:
    """Return the number of a version.

    Raises:
        PipelineError: All are deleted.
    """
    found = client.search_model_versions(f"name = '{name}'", max_results=1)
    if not found:
        raise PipelineError(
            f"{name!r} must have a version but all are deleted: run the pipeline, which registers one."
        )
    return str(found[0].version)
