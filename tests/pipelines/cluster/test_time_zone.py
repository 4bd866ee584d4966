from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from components.common.errors import PipelineError
from pipelines.cluster.time_zone import check_bounds, cron_of_scheduler, time_given, zone_named

BERLIN = ZoneInfo("Europe/Berlin")
WINTER = datetime(2027, 1, 10, tzinfo=UTC)


def test_a_clock_that_is_changed_meanwhile_is_refused_with_both_expressions() -> None:
    with pytest.raises(PipelineError, match=r"'0 0 2 \* \* \*' until 2027-03-28 and then '0 0 1 \* \* \*'"):
        cron_of_scheduler("0 0 3 * * *", BERLIN, UTC, WINTER, None)


def test_before_the_change_and_where_it_does_not_matter_it_is_converted() -> None:
    end = datetime(2027, 3, 1, tzinfo=UTC)
    assert cron_of_scheduler("0 0 3 * * *", BERLIN, UTC, WINTER, end) == "0 0 2 * * *"
    assert cron_of_scheduler("0 15 * * * *", BERLIN, UTC, WINTER, None) == "0 15 * * * *"
    assert cron_of_scheduler("0 0 3 * * *", BERLIN, BERLIN, WINTER, None) == "0 0 3 * * *"


def test_a_time_is_in_its_zone_unless_it_says_otherwise() -> None:
    assert time_given("2027-01-31T18:00", "--start", BERLIN) == datetime(2027, 1, 31, 17, tzinfo=UTC)
    assert time_given("2027-01-31T18:00Z", "--start", BERLIN) == datetime(2027, 1, 31, 18, tzinfo=UTC)
    assert time_given(None, "--start", BERLIN) is None
    with pytest.raises(PipelineError, match="--start must be a time like 2027-01-31"):
        time_given("tomorrow", "--start", BERLIN)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(PipelineError, match="--time-zone must be a time zone's name but '../etc' is none"):
        zone_named("../etc", "--time-zone")
    later = datetime(2126, 1, 2, tzinfo=UTC)
    check_bounds(later.replace(day=1), later)
    check_bounds(later, None)
    with pytest.raises(PipelineError, match="--end must come after --start"):
        check_bounds(later, later)
