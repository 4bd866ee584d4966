"""The monitor's false alarms and detection, small, with a made-up model of stripes."""

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import monitoring
from benchmarks.monitoring import Measured, alarms, halved, image_pool, page
from components.common.model.reference import make_reference
from tests.components.common.model.test_reference import by_side, halves


@pytest.fixture(scope="module")
def found() -> Measured:
    split = halves(800, seed=5)
    reference = make_reference(halves(200, seed=6).images, halves(800, seed=7), by_side, 0.9)

    def pool(images: NDArray[np.uint8]) -> monitoring.Pool:
        return image_pool(reference, images, by_side(images), split.labels, 0.9)

    dark = {("contrast", number): pool(split.images // (number + 2)) for number in range(3)}
    names = {key: f"contrast, {1 / (key[1] + 2):.2g} of the original" for key in dark}
    return Measured(("left", "right"), reference, pool(split.images), dark, names)


def test_windows_are_alarms_where_they_are_damaged(found: Measured) -> None:
    assert alarms(found, 200, windows=20) <= 0.05
    assert alarms(halved(found), 200, windows=20) <= 0.05
    rates = [alarms(found, 200, ("contrast", 2), share, windows=5) for share in (0.0, 0.02, 0.5, 1.0)]
    assert rates == [0, 0, 1, 1]


def test_the_page_judges_its_floors(found: Measured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitoring, "WINDOWS", 4)
    monkeypatch.setattr(monitoring, "SIZES", (100, 500))
    monkeypatch.setattr(monitoring, "SHARES", (0.0, 1.0))
    text, floors = page(found, found, "It costs nothing.", windows=2)
    assert [floor.met for floor in floors] == [True, True]
    assert "| contrast, 0.25 of the original | 0% | 100% |" in text
    monkeypatch.setattr(monitoring, "LEAST_FOUND", 1.01)
    assert "**missed**" in page(found, found, "", windows=2)[0]
