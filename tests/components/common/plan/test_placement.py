import pytest

from components.common.errors import PipelineError
from components.common.plan.placement import parse_gpu_count


@pytest.mark.parametrize(("text", "count"), [("0", 0), ("2", 2), ("08", 8)])
def test_digits_are_a_number_of_gpus(text: str, count: int) -> None:
    assert parse_gpu_count(text) == count


@pytest.mark.parametrize("text", ["", "-1", "1.0", "two", "²", "١"])  # noqa: RUF001
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(PipelineError) as refused:
        parse_gpu_count(text)

    assert str(refused.value) == f"gpu_count must be a whole number but got {text!r}."
