import pytest

from components.common.errors import PipelineError
from pipelines.cluster.cron import shifted, six_fields


@pytest.mark.parametrize(
    ("expression", "fields"),
    [
        ("0 0 3 * * *", "0 0 3 * * *"),
        ("0 3 * * *", "0 0 3 * * *"),
        ("  */15 * * * 1-5 ", "0 */15 * * * 1-5"),
        ("0 0 9 ? * MON-FRI", "0 0 9 ? * MON-FRI"),
        ("0 30 4 1,15 jan-jun/2 ?", "0 30 4 1,15 jan-jun/2 ?"),
        ("59 59 23 31 12 6", "59 59 23 31 12 6"),
        ("0 5/10 * * * *", "0 5/10 * * * *"),
    ],
)
def test_five_fields_get_their_seconds_and_six_are_kept(expression: str, fields: str) -> None:
    assert six_fields(expression) == fields


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "takes six fields .* but got 0 in ''"),
        ("@daily", "takes six fields .* but got 1"),
        ("0 0 0 3 * * *", "but got 7"),
        ("60 0 3 * * *", "the second in --cron must be 0 to 59 but is '60'"),
        ("0 60 * * * *", "the minute .* 0 to 59 but is '60'"),
        ("0 0 24 * * *", "the hour .* 0 to 23 but is '24'"),
        ("0 0 3 0 * *", "the day of month .* 1 to 31 but is '0'"),
        ("0 0 3 * 13 *", "the month .* 1 to 12 but is '13'"),
        ("0 0 3 * MON *", "the month .* 1 to 12 but is 'MON'"),
        ("0 0 3 * * 7", "the day of week .* 0 to 6 but is '7'"),
        ("0 0 3 * * SUNDAY", "the day of week .* but is 'SUNDAY'"),
        ("0 0 17-9 * * *", "the hour in --cron must not count backwards but is '17-9'"),
        ("0 */0 * * * *", "the minute in --cron must look like .* but is '\\*/0'"),
        ("0 1,,2 * * * *", "the minute in --cron must look like .* but is ''"),
        ("0 *-5 * * * *", "the minute in --cron must look like"),
        ("0 -5 * * * *", "the minute in --cron must look like"),
    ],
)
def test_an_expression_that_kubeflow_would_misread_is_an_error(expression: str, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        six_fields(expression)


@pytest.mark.parametrize(
    ("expression", "minutes", "moved"),
    [
        ("0 0 3 * * *", 120, "0 0 1 * * *"),
        ("0 0 3 * * *", -120, "0 0 5 * * *"),
        ("0 0 1 * * *", 120, "0 0 23 * * *"),
        ("0 0 1 * * MON,7-7", 120, None),
        ("0 0 1 * * SUN-TUE", 120, "0 0 23 * * 0,1,6"),
        ("0 0 23 * * ?", -330, "0 30 4 * * ?"),
        ("5 10/20 */6 * * *", 60, "5 10/20 5,11,17,23 * * *"),
        ("0 0 0-12/6 1 JAN *", 0, "0 0 0-12/6 1 JAN *"),
        ("0 30 8 1 * *", 60, "0 30 7 1 * *"),
        ("0 30 0 1 * *", 60, None),
        ("0 0,45 1 * * *", 30, None),
        ("0 0 0,12 * * MON", 60, None),
    ],
)
def test_an_expression_on_another_clock(expression: str, minutes: int, moved: str | None) -> None:
    if moved is None:
        with pytest.raises(PipelineError, match=r"--cron must|day of week"):
            shifted(six_fields(expression), minutes)
    else:
        assert shifted(six_fields(expression), minutes) == moved
