import numpy as np
import pytest
from numpy.typing import NDArray

from components.common.data.spec import DIGITS, MNIST_SPEC
from components.common.errors import PipelineError
from components.evaluate.robustness import corruptions
from components.monitor.drift import LEAST_REQUESTS, DriftFinding, Verdict, judge_window, measure_window
from components.monitor.rules import Rules
from tests.components.monitor.conftest import Watched

DAMAGES = corruptions(MNIST_SPEC)


def judged(
    watched: Watched, images: NDArray[np.uint8], labels: NDArray[np.int64] | None = None, **rules: float
) -> tuple[Verdict, dict[str, DriftFinding]]:
    known = np.full(len(images), -1) if labels is None else labels
    window = measure_window(watched.requests(images), known, watched.reference)
    verdict, findings = judge_window(watched.reference, window, Rules(**rules), DIGITS)
    return verdict, {finding.name: finding for finding in findings}


def test_windows_of_the_same_digits_are_rarely_alarms(watched: Watched) -> None:
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(60):
        rows = rng.choice(len(watched.images), 250, replace=False)
        alarms += judged(watched, watched.images[rows], watched.labels[rows])[0] == "drift"
    assert alarms <= 3


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damage_of_severity_3_is_found(watched: Watched, damage: str) -> None:
    _, _, severities, apply = DAMAGES[damage]
    rng = np.random.default_rng(1)
    for _ in range(5):
        rows = rng.choice(len(watched.images), 250, replace=False)
        verdict, findings = judged(watched, apply(watched.images[rows], severities[2]))
        assert verdict == "drift"
    assert next(iter(findings.values())).drifted


def test_a_few_blank_images_are_found_and_one_is_tolerated(watched: Watched) -> None:
    images = watched.images[:400].copy()
    images[0] = 0
    assert judged(watched, images)[0] == "none"
    images[:60] = 0
    verdict, findings = judged(watched, images)
    assert verdict == "drift"
    assert findings["unlike"].drifted
    assert findings["unlike"].found >= 60 / 400


def test_other_answers_and_mistakes_are_found_by_name(watched: Watched) -> None:
    ones = watched.labels == 1
    images = np.concatenate([watched.images[ones], watched.images[:100]])
    assert judged(watched, images)[1]["classes"].title == "answers, above all 1"
    assert judged(watched, images)[1]["classes"].drifted
    labels = watched.labels.copy()
    assert not judged(watched, watched.images, labels)[1]["mistakes"].drifted
    labels[::3] = (labels[::3] + 1) % len(DIGITS)
    assert judged(watched, watched.images, labels)[1]["mistakes"].drifted
    assert "mistakes" not in judged(watched, watched.images)[1]


def test_more_tolerance_finds_less(watched: Watched) -> None:
    images = watched.images[:400].copy()
    images[:60] = 0
    assert judged(watched, images, tolerated=0.3)[0] == "none"
    assert judged(watched, images, false_alarms=1e-12)[0] == "none"


def test_few_requests_are_not_judged_and_other_images_are_refused(watched: Watched) -> None:
    assert judged(watched, watched.images[: LEAST_REQUESTS - 1]) == ("too-few", {})
    assert judged(watched, watched.images[:LEAST_REQUESTS])[0] == "none"
    requests = watched.requests(watched.images[:5])
    smaller = type(requests)(**{**vars(requests), "images": requests.images[:, ::2, ::2]})
    with pytest.raises(PipelineError, match="name the model that answered them"):
        measure_window(smaller, np.full(5, -1), watched.reference)
