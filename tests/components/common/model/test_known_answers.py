from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.common.errors import PipelineError
from components.common.model.known_answers import KNOWN_ANSWERS, compare_known_answers, save_known_answers

IMAGES = np.zeros((2, 4, 4, 1), np.uint8)


class Fixed:
    """Gives every image the same answer."""

    def __init__(self, *answer: float) -> None:
        self._answer = np.array(answer, np.float32)

    def probabilities(self, images: Any) -> Any:
        return np.tile(self._answer, (len(images), 1))


def test_answers_are_compared_with_those_stored(tmp_path: Path) -> None:
    save_known_answers(Fixed(0.25, 0.75), Fixed(0.5, 0.5), IMAGES, tmp_path / KNOWN_ANSWERS, 0.1)
    assert compare_known_answers(Fixed(0.5, 0.5), tmp_path, in_float32=True) == (0, "")
    _, far = compare_known_answers(Fixed(0.495, 0.505), tmp_path, in_float32=True)
    assert "limit 0.001" in far
    assert compare_known_answers(Fixed(0.25, 0.75), tmp_path) == (0, "")
    difference, problem = compare_known_answers(Fixed(0.5, 0.5), tmp_path)
    assert (difference, problem) == (0.25, "its answers differ by 0.25 from those stored with it (limit 0.1)")
    _, problem = compare_known_answers(Fixed(0.2, 0.2, 0.6), tmp_path)
    assert problem == "the answers stored with it are (2, 2) and its own (2, 3)"
    _, problem = compare_known_answers(Fixed(float("nan"), 0.75), tmp_path)
    assert problem.startswith("its answers differ by nan")


@pytest.mark.parametrize("content", [None, b"", b"PK\3\4", b"\x93NUMPY"])
def test_a_file_that_is_missing_or_damaged_is_one_line(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / KNOWN_ANSWERS).write_bytes(content)
    with pytest.raises(
        PipelineError, match=r"known_answers\.npz must hold images and answers but cannot"
    ) as refused:
        compare_known_answers(Fixed(1.0), tmp_path)
    assert "\n" not in str(refused.value)
