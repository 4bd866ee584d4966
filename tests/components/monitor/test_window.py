import pytest

from components.common.errors import PipelineError
from components.monitor.window import last_window, parse_time


def test_whoever_asks_within_a_window_looks_at_the_one_before() -> None:
    noon = parse_time("2026-11-28T12:00")
    yesterday = parse_time("2026-11-27"), parse_time("2026-11-28")
    assert last_window(24, noon) == last_window(24, noon + 11 * 3600) == yesterday
    assert last_window(24, noon + 12 * 3600) == (yesterday[1], yesterday[1] + 24 * 3600)
    assert last_window(1, noon + 59) == (noon - 3600, noon)


def test_times_are_in_utc_unless_they_name_an_offset() -> None:
    assert parse_time("1970-01-02") == 24 * 3600
    assert parse_time("1970-01-02T02:00+02:00") == 24 * 3600


def test_what_is_no_window_is_refused() -> None:
    with pytest.raises(PipelineError, match="must be a date"):
        parse_time("yesterday")
    with pytest.raises(PipelineError, match="at least 1"):
        last_window(0)
