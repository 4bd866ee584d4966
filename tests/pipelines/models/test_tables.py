from typing import Any

from components.register.journal import Move
from pipelines.models.tables import (
    MOVE_HEAD,
    VERSION_HEAD,
    aligned,
    detail_rows,
    difference_rows,
    move_rows,
    utc_time,
    version_differences,
    version_rows,
)

FIRST: dict[str, Any] = {
    "version": "1",
    "aliases": [],
    "images": "32 x 32 x 3",
    "class count": 3,
    "registered": "2026-03-01 12:00:00",
    "test_accuracy": 0.98765,
    "git_sha": "abcdef" * 7,
    "recipe": "fast",
    "seed": "7",
    "weights_digest": "0123456789" * 6,
}
SECOND: dict[str, Any] = {
    "version": "2",
    "aliases": ["champion", "challenger"],
    "recipe": "fast",
    "seed": "8",
}


def test_columns_are_as_wide_as_their_longest_cell_and_lines_do_not_end_in_spaces() -> None:
    assert list(aligned([["name", "x"], ["a", "long"], ["b", ""]])) == ["name  x", "a     long", "b"]


def test_a_version_is_a_row_with_short_digests_and_empty_cells_for_what_it_lacks() -> None:
    assert version_rows([SECOND, FIRST]) == [
        VERSION_HEAD,
        ["2", "champion, challenger", "", "", "", "fast", "8", "", "", ""],
        ["1", "", "0.9877", "32 x 32 x 3", "3", "fast", "7", "2026-03-01 12:00:00", "abcdefab", "01234567"],
    ]


def test_details_are_shown_as_text_with_a_dash_for_nothing() -> None:
    many = [f"class {number}" for number in range(22)]
    details = {"aliases": [], "test_errors": 12, "git_sha": None, "names": ["a", "b"], "classes": many}
    assert detail_rows(details) == [
        ["aliases", "-"],
        ["test_errors", "12"],
        ["git_sha", "-"],
        ["names", "a, b"],
        ["classes", f"{', '.join(many[:20])} and 2 more"],
    ]


def test_differences_leave_out_what_is_alike_and_what_identifies_a_version() -> None:
    differing = version_differences(FIRST, {**FIRST, **SECOND, "plan_digest": "p"})
    assert differing == {"seed": ["7", "8"], "plan_digest": [None, "p"]}
    assert difference_rows(differing) == [["seed", "7", "8"], ["plan_digest", "-", "p"]]
    assert version_differences(FIRST, {**FIRST, "version": "2", "aliases": ["champion"]}) == {}


def test_a_move_is_a_row_and_a_void_one_is_marked() -> None:
    first = Move(1, 1_700_000_000_000, "register", "", "1", "me", "better", counts=True, applied=True)
    void = Move(2, 1_700_000_001_000, "promote", "", "2", "you", "", counts=False, applied=False)
    assert move_rows([first, void]) == [
        MOVE_HEAD,
        ["1", "2023-11-14 22:13:20", "register", "none", "1", "me", "better"],
        ["2", "2023-11-14 22:13:21", "promote, void: another came first", "none", "2", "you", ""],
    ]


def test_times_are_utc() -> None:
    assert utc_time(0) == "1970-01-01 00:00:00"
