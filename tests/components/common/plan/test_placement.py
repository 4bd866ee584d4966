import pytest

from components.common.errors import PipelineError
from components.common.plan.placement import parse_gpu_count


def test_a_whole_number_is_the_count() -> None:
    assert [parse_gpu_count(text) for text in ("0", "1", "16")] == [0, 1, 16]


@pytest.mark.parametrize("text", ["", "one", "-1", "1.0", "1 ", "\N{SUPERSCRIPT TWO}"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(PipelineError, match=r"gpu_count must be a whole number but got "):
        parse_gpu_count(text)
