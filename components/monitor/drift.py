"""Judgement on a window of requests, by tests that find drift."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from components.common.data.request_log import Requests
from components.common.errors import PipelineError
from components.common.model.reference import Reference, confidences
from components.monitor.rules import Rules
from components.monitor.significance import adjusted, distribution_test, growth_tests

# A window of fewer requests is not judged: it shows only what nobody needs a test for.
LEAST_REQUESTS = 100

Verdict = Literal["drift", "none", "too-few"]
TITLES = {
    "brightness": "brightness",
    "contrast": "contrast",
    "sharpness": "sharpness",
    "horizontal": "place from left to right",
    "vertical": "place from top to bottom",
    "colour": "colourfulness",
    "shape": "distance from the usual shapes",
    "confidence": "confidence of the answers",
}


@dataclass(frozen=True)
class DriftFinding:
    """The outcome of one test.

    Attributes:
        name: Of the test.
        kind: Whether it compares distributions or shares.
        title: What it looks at, in words.
        reference: The share or the median in the reference.
        found: The same of the requests.
        distance: How far they are apart, 0 to 1: between the distribution functions, or of the shares.
        p_value: Chance of such a distance without drift, adjusted for all tests of the window.
        drifted: Whether it is below the rate of false alarms.
    """

    name: str
    kind: Literal["distribution", "share"]
    title: str
    reference: float
    found: float
    distance: float
    p_value: float
    drifted: bool


@dataclass(frozen=True, eq=False)
class WindowValues:
    """What is measured of N requests.

    Attributes:
        values: As `Reference.values_of` gives them.
        confidence: Top probabilities.
        unlikeness: As `Reference.unlikeness` gives it.
        answered: Number of requests that each class is the answer to.
        rejected: Number of rejected answers.
        labelled: Number of requests whose label is known.
        wrong: Number of wrong answers among them.
    """

    values: dict[str, NDArray[np.float32]]
    confidence: NDArray[np.float32]
    unlikeness: NDArray[np.float32]
    answered: NDArray[np.int64]
    rejected: int
    labelled: int
    wrong: int

    def __len__(self) -> int:
        return len(self.confidence)


def measure_window(requests: Requests, labels: NDArray[np.int64], reference: Reference) -> WindowValues:
    """Measure requests as the reference was.

    Args:
        requests: Of one version, N.
        labels: Place of the true class, N; -1 where it is not known.
        reference: That version's.

    Raises:
        PipelineError: Images or classes are not those of the reference.
    """
    classes = len(reference.answered)
    if requests.images.shape[1:] != reference.shape or requests.probabilities.shape[1] != classes:
        raise PipelineError(
            f"the requests must be images {reference.shape} in {classes} classes but are images "
            f"{requests.images.shape[1:]} in {requests.probabilities.shape[1]}: name the model that answered them."
        )
    values = reference.values_of(requests.images)
    answers = requests.probabilities.argmax(axis=1)
    return WindowValues(
        values=values,
        confidence=confidences(requests.probabilities),
        unlikeness=reference.unlikeness(values),
        answered=np.bincount(answers, minlength=classes),
        rejected=int(requests.rejected.sum()),
        labelled=int((labels >= 0).sum()),
        wrong=int(((labels >= 0) & (labels != answers)).sum()),
    )


def judge_window(
    reference: Reference, window: WindowValues, rules: Rules, classes: Sequence[str]
) -> tuple[Verdict, list[DriftFinding]]:
    """Test a window, and return whether it has drifted, with the findings, the clearest first.

    All tests together find drift in at most `rules.false_alarms` of windows that have none.

    Args:
        reference: Of the version that answered.
        window: What was measured of its requests.
        rules: What counts as drift.
        classes: Names of the classes.
    """
    if len(window) < LEAST_REQUESTS:
        return "too-few", []
    tests = [*_distributions(reference, window, rules), *_shares(reference, window, rules, classes)]
    findings = [
        replace(test, p_value=float(p), drifted=bool(p < rules.false_alarms))
        for test, p in zip(tests, adjusted(np.array([test.p_value for test in tests])), strict=True)
    ]
    findings.sort(key=lambda finding: (finding.p_value, -finding.distance))
    return ("drift" if any(finding.drifted for finding in findings) else "none"), findings


def _distributions(reference: Reference, window: WindowValues, rules: Rules) -> Iterator[DriftFinding]:
    """Test the distribution of each value of the images, and of the confidence."""
    pairs = {name: (column, window.values[name]) for name, column in reference.values.items()}
    pairs["confidence"] = reference.confidence, window.confidence
    for name, (before, now) in pairs.items():
        distance, p_value = distribution_test(now, before, rules.tolerated)
        medians = float(np.median(before)), float(np.median(now))
        yield DriftFinding(name, "distribution", TITLES[name], *medians, distance, p_value, drifted=False)


def _shares(
    reference: Reference, window: WindowValues, rules: Rules, classes: Sequence[str]
) -> Iterator[DriftFinding]:
    """Test the shares of unlike images, rejected answers, each class as the answer, and mistakes."""
    limit = reference.unlikeness_limit()
    before = int((reference.unlikeness(reference.values) > limit).sum()), reference.examples
    now = int((window.unlikeness > limit).sum()), len(window)
    yield _share("unlike", "images unlike the reference", before, now, rules.tolerated, rules)
    before, now = (reference.rejected, reference.examples), (window.rejected, len(window))
    yield _share("rejected", "rejected answers", before, now, rules.tolerated, rules)
    yield _classes(reference, window, rules, classes)
    if window.labelled:
        before = reference.examples - reference.right, reference.examples
        now = window.wrong, window.labelled
        yield _share("mistakes", "mistakes among labelled requests", before, now, rules.margin, rules)


def _share(
    name: str, title: str, before: tuple[int, int], now: tuple[int, int], tolerated: float, rules: Rules
) -> DriftFinding:
    """Test whether a share has grown, given as number and total."""
    counts = np.array(now[:1]), now[1], np.array(before[:1]), before[1]
    (p_value,) = growth_tests(*counts, tolerated, rules.unknown)
    shares = before[0] / before[1], now[0] / now[1]
    return DriftFinding(
        name, "share", title, *shares, abs(shares[1] - shares[0]), float(p_value), drifted=False
    )


def _classes(
    reference: Reference, window: WindowValues, rules: Rules, classes: Sequence[str]
) -> DriftFinding:
    """Test whether any class is the answer more often, or less often; each counts as a test of its own."""
    before = np.concatenate([reference.answered, reference.examples - reference.answered])
    now = np.concatenate([window.answered, len(window) - window.answered])
    p_values = growth_tests(now, len(window), before, reference.examples, rules.tolerated, rules.unknown)
    shares = reference.answered / reference.examples, window.answered / len(window)
    number = int(np.argmax(np.abs(shares[1] - shares[0])))
    return DriftFinding(
        "classes",
        "share",
        f"answers, above all {classes[number]}",
        float(shares[0][number]),
        float(shares[1][number]),
        float(abs(shares[1][number] - shares[0][number])),
        min(1.0, float(p_values.min()) * len(p_values)),
        drifted=False,
    )
