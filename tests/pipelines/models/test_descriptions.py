import pytest

from components.common.data.spec import MNIST_SPEC
from components.common.errors import PipelineError
from components.register.journal import champion_of
from pipelines.models.descriptions import describe_moves, describe_versions
from pipelines.models.server_reader import ServerReader
from tests.pipelines.models.conftest import MODEL


def test_records_count_more_than_tags_and_a_version_without_records_has_tags(server: ServerReader) -> None:
    name, (without, recorded) = describe_versions(server, MODEL)
    assert name == MODEL
    assert (without["version"], without["aliases"], without["recipe"]) == (
        "2",
        ["challenger", "champion"],
        "seed",
    )
    assert (recorded["version"], recorded["aliases"], recorded["recipe"]) == ("1", [], "fast")
    assert recorded["images"] == MNIST_SPEC.size
    assert recorded["test_accuracy"] == 0.99
    assert not {"model_files", "image_size", "config"} & recorded.keys()
    assert describe_versions(server, MODEL, "champion", "v1") == (name, [without, recorded])


def test_of_many_versions_the_newest_are_described_and_those_with_an_alias(server: ServerReader) -> None:
    def numbers(newest: int) -> list[str]:
        return [found["version"] for found in describe_versions(server, MODEL, newest=newest)[1]]

    assert (numbers(2), numbers(1)) == (["2", "1"], ["2"])
    aliases = {MODEL: {"champion": "1"}}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ServerReader, "aliases", lambda _: aliases)
        assert (numbers(1), numbers(0)) == (["2", "1"], ["1"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("no such model",), "'no such model' is none of them"),
        ((MODEL, "3"), "must have version '3' but has not"),
    ],
)
def test_what_does_not_exist_is_an_error(server: ServerReader, given: tuple[str, ...], message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        describe_versions(server, *given)


def test_a_move_of_the_alias_by_hand_shows_and_is_left_as_it_is(server: ServerReader) -> None:
    name, champion, moves = describe_moves(server, MODEL)
    assert (name, champion, champion_of(moves)) == (MODEL, "2", "1")
    assert describe_moves(server, MODEL) == (name, champion, moves)
