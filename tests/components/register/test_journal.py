import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from components.common.errors import PipelineError
from components.common.model.aliases import HISTORY_SUFFIX
from components.register import journal
from components.register.journal import Entry, alias_champion, champion_of, move_champion, read_moves, settle
from components.register.steer import rollback
from tests.components.register.conftest import ON_EITHER_DATABASE
from tests.forks import ForkedPython

if TYPE_CHECKING:
    from mlflow import MlflowClient

MOVER = """
import sys
from mlflow import MlflowClient
from components.common.errors import PipelineError
from components.register.journal import move_champion
name, own, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
client = MlflowClient()
print("ready", flush=True)
won = 0
for _ in range(count):
    sys.stdin.readline()
    try:
        won += move_champion(client, name, before="1", after=own, action="promote", who=own, why="race")
    except PipelineError as error:
        assert "must still be version 1" in str(error), error
    print(won, flush=True)
"""


@pytest.fixture
def name(mlflow_client: "MlflowClient") -> str:
    """A registered model with three versions, which nothing is stored of, and no champion."""
    name = f"moved-{uuid.uuid4().hex}"
    run = mlflow_client.create_run("0")
    mlflow_client.create_registered_model(name)
    for _ in range(3):
        mlflow_client.create_model_version(name, f"{run.info.artifact_uri}/model", run.info.run_id)
    return name


def _move(client: "MlflowClient", name: str, before: str, after: str) -> bool:
    return move_champion(client, name, before=before, after=after, action="promote", who="me", why="because")


def test_a_move_is_recorded_and_repeating_it_is_harmless(mlflow_client: "MlflowClient", name: str) -> None:
    assert _move(mlflow_client, name, "", "1")
    assert _move(mlflow_client, name, "1", "2")
    assert not _move(mlflow_client, name, "1", "2")

    first, second = read_moves(mlflow_client, name)
    assert (first.before, first.after, first.counts, first.applied) == ("", "1", True, True)
    assert (second.action, second.before, second.after) == ("promote", "1", "2")
    assert (second.who, second.why) == ("me", "because")
    assert second.time >= first.time > 0
    assert alias_champion(mlflow_client, name) == "2"


def test_a_move_from_an_outdated_champion_is_an_error_that_names_the_last_mover(
    mlflow_client: "MlflowClient", name: str
) -> None:
    _move(mlflow_client, name, "", "1")
    _move(mlflow_client, name, "1", "2")
    with pytest.raises(PipelineError, match=r"must still be version 1 but is now 2, moved by me \(promote\)"):
        _move(mlflow_client, name, "1", "3")
    assert len(read_moves(mlflow_client, name)) == 2


def test_a_move_from_an_outdated_champion_is_an_error_where_nobody_has_moved_it(
    mlflow_client: "MlflowClient", name: str
) -> None:
    with pytest.raises(PipelineError, match=r"must still be version 1 but is now \(none\), moved by nobody"):
        _move(mlflow_client, name, "1", "2")


def test_the_last_champion_may_be_gone_with_all_versions(
    mlflow_client: "MlflowClient", name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "SETTLE_SECONDS", 0.1)
    _move(mlflow_client, name, "", "1")
    for version in ("1", "2", "3"):
        mlflow_client.delete_model_version(name, version)
    with pytest.raises(PipelineError, match="must have a version but all are deleted: run the pipeline"):
        rollback(mlflow_client, name, "me", "")


def test_a_move_that_another_overtakes_is_void(
    mlflow_client: "MlflowClient", name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _move(mlflow_client, name, "", "1")
    append = journal.append_move

    def overtaken(*arguments: Any, **tags: str) -> Entry:
        monkeypatch.setattr(journal, "append_move", append)
        assert _move(mlflow_client, name, "1", "2")
        return append(*arguments, **tags)

    monkeypatch.setattr(journal, "append_move", overtaken)
    with pytest.raises(PipelineError, match="is now 2"):
        _move(mlflow_client, name, "1", "3")
    assert [(move.after, move.counts) for move in read_moves(mlflow_client, name)] == [
        ("1", True), ("2", True), ("3", False),
    ]  # fmt: skip
    assert alias_champion(mlflow_client, name) == "2"


def test_what_nothing_changes_any_more_is_read_once(
    mlflow_client: "MlflowClient", name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for before, after in (("", "1"), ("1", "2"), ("2", "3")):
        _move(mlflow_client, name, before, after)
    journal.append_move(mlflow_client, name, action="promote", before="3", after="1", who="dead", why="")
    moves = read_moves(mlflow_client, name)
    found: list[str] = []
    search = mlflow_client.search_model_versions

    def recorded(*given: Any, **query: Any) -> Any:
        page = search(*given, **query)
        found.extend(version.version for version in page)
        return page

    monkeypatch.setattr(mlflow_client, "search_model_versions", recorded)
    assert read_moves(mlflow_client, name, moves) == moves
    assert list(map(int, found)) == [4]
    assert read_moves(mlflow_client, name, moves[:2]) == moves
    assert sorted(map(int, found)) == [3, 4, 4]


ODD: dict[str, dict[str, str]] = {
    "no tags": {},
    "some": {"action": "promote", "before": "1"},
    "a word": {"action": "promote", "before": "1", "after": "two", "who": "?", "why": "?"},
    "no such version": {"action": "promote", "before": "1", "after": "99", "who": "?", "why": "?"},
}


@pytest.mark.parametrize("tags", ODD.values(), ids=ODD)
def test_an_entry_made_by_hand_stops_no_move(
    mlflow_client: "MlflowClient", name: str, tags: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "SETTLE_SECONDS", 0.1)
    _move(mlflow_client, name, "", "1")
    mlflow_client.create_model_version(name + HISTORY_SUFFIX, f"models:/{name}/1", tags=tags)

    assert _move(mlflow_client, name, "1", "2")
    assert alias_champion(mlflow_client, name) == champion_of(read_moves(mlflow_client, name)) == "2"
    odd = read_moves(mlflow_client, name)[1]
    assert (odd.action, odd.counts) == (
        (tags["action"], True) if "99" in tags.values() else ("foreign", False)
    )


def test_the_move_of_a_dead_process_is_completed(
    mlflow_client: "MlflowClient", name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "SETTLE_SECONDS", 0.1)
    _move(mlflow_client, name, "", "1")
    journal.append_move(mlflow_client, name, action="promote", before="1", after="2", who="dead", why="")
    assert alias_champion(mlflow_client, name) == "1"

    assert settle(mlflow_client, name) == "2"
    assert alias_champion(mlflow_client, name) == "2"
    assert [move.action for move in read_moves(mlflow_client, name)] == ["promote", "promote"]


@pytest.mark.parametrize(("by_hand", "after"), [("3", "3"), (None, "")])
def test_an_alias_moved_by_hand_is_recorded_as_such(
    mlflow_client: "MlflowClient", name: str, by_hand: str | None, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "SETTLE_SECONDS", 0.1)
    _move(mlflow_client, name, "", "1")
    if by_hand:
        mlflow_client.set_registered_model_alias(name, "champion", by_hand)
    else:
        mlflow_client.delete_registered_model_alias(name, "champion")

    assert settle(mlflow_client, name) == after
    last = read_moves(mlflow_client, name)[-1]
    assert (last.action, last.before, last.after, last.counts) == ("outside", "1", after, True)
    assert alias_champion(mlflow_client, name) == after


def _entry(client: "MlflowClient", name: str, number: str) -> dict[str, str]:
    return dict(client.get_model_version(f"{name}.history", number).tags)


def _add(client: "MlflowClient", name: str, tags: dict[str, str]) -> None:
    client.create_model_version(f"{name}.history", f"models:/{name}/1", tags=tags, await_creation_for=0)


def test_moves_are_signed_and_chained(mlflow_client: "MlflowClient", name: str) -> None:
    _move(mlflow_client, name, "", "1")
    _move(mlflow_client, name, "1", "2")
    first, second = read_moves(mlflow_client, name)
    assert [first.problem, second.problem] == ["", ""]
    assert [_entry(mlflow_client, name, number)["previous"] for number in "12"] == ["", first.digest]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda tags: {tag: tags[tag] for tag in tags if tag != "signature"}, "it is not signed"),
        (lambda tags: {**tags, "who": "somebody else"}, "its signature is not of what it lies beside"),
        (lambda tags: {**tags, "signature": "?"}, "Only base64 data is allowed"),
        (
            lambda tags: {**tags, "signing_key": "0" * 64},
            "it is signed by the key '000000000000', which is not",
        ),
    ],
)
def test_a_foreign_move_is_told(
    mlflow_client: "MlflowClient",
    name: str,
    change: Callable[[dict[str, str]], dict[str, str]],
    problem: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(journal, "SETTLE_SECONDS", 0.1)
    _move(mlflow_client, name, "", "1")
    _move(mlflow_client, name, "1", "2")
    made = _entry(mlflow_client, name, "2")
    head = read_moves(mlflow_client, name)[-1].digest
    _add(mlflow_client, name, change({**made, "before": "2", "after": "3", "previous": head}))
    last = read_moves(mlflow_client, name)[-1]
    assert (last.counts, last.problem.startswith(problem)) == (True, True)
    with pytest.raises(
        PipelineError, match="the last two moves of .* must be signed by a trusted key .* of move 3"
    ):
        rollback(mlflow_client, name, "me", "")


def test_a_move_that_is_repeated_does_not_count_and_one_that_was_taken_out_is_told(
    mlflow_client: "MlflowClient", name: str
) -> None:
    for before, after in (("", "1"), ("1", "2"), ("2", "1")):
        _move(mlflow_client, name, before, after)
    _add(mlflow_client, name, _entry(mlflow_client, name, "2"))
    assert [move.counts for move in read_moves(mlflow_client, name)] == [True, True, True, False]

    mlflow_client.delete_model_version(f"{name}.history", "2")
    problems = [move.problem for move in read_moves(mlflow_client, name)]
    assert problems == ["", "the move that it follows is missing or was changed", ""]


@ON_EITHER_DATABASE
def test_of_two_processes_that_promote_at_once_one_wins_and_the_history_is_one(
    mlflow_client: "MlflowClient", name: str
) -> None:
    rounds = 5
    _move(mlflow_client, name, "", "1")
    processes = [ForkedPython(MOVER, name, own, rounds) for own in ("2", "3")]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    won = 0
    for number in range(1, rounds + 1):
        for process in processes:
            process.stdin.write("go\n")
        total = 0
        for process in processes:
            total += int(process.stdout.readline())
        assert total == won + 1, f"round {number}"
        won = total
        champion = champion_of(read_moves(mlflow_client, name))
        assert champion in {"2", "3"}
        assert alias_champion(mlflow_client, name) == champion
        _move(mlflow_client, name, champion, "1")
    for process in processes:
        assert process.wait() == 0
    moves = [move for move in read_moves(mlflow_client, name) if move.counts]
    assert [move.before for move in moves] == ["", *(move.after for move in moves[:-1])]
    assert len(moves) == 1 + 2 * rounds
