"""`python -m benchmarks.monitoring`: false alarms and detection of `mnist-pipeline monitor`.

Windows are drawn at random from the test split, which neither the model nor its reference has seen, and are judged as
the command judges them.
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.prepare import prepare
from benchmarks.process import call

WINDOWS, SIZE = 200, 500
SIZES = (100, 250, 500, 1_000, 2_000)
SHARES = (0.05, 0.1, 0.2, 0.5, 1.0)
# Place of a damage's severity 3 among those of the report's robustness curves.
THIRD = 2
MOST_FALSE, LEAST_FOUND = 0.05, 0.95


def candidate(data: str, work: Path) -> tuple[Path, Path]:
    """Train recipe `fast` on "digits" or "mnist", and return the candidate of its evaluation and the test data."""
    development, test = prepare(work, data)
    model, target = work / data / "model", work / data / "candidate"
    if not target.exists():
        call("benchmarks.training:train_once", str(development), "fast", {}, str(model))
        call("benchmarks.monitoring:evaluated", str(development), str(test), str(model), str(target))
    return target, test


def evaluated(development: str, test: str, model: str, target: str) -> None:
    """Evaluate a model as a run does, which writes the candidate with its reference."""
    from components.common.plan.run import GatePlan
    from components.evaluate.judge import EvaluationInputs, judge_models

    trained = Path(model)
    inputs = EvaluationInputs(test=Path(test), development=Path(development), baseline=trained, tuned=trained)
    with TemporaryDirectory() as scratch:
        judge_models(
            inputs,
            champion=None,
            target=Path(scratch, "evaluation"),
            candidate_target=Path(target),
            gate=GatePlan(),
            lineage={},
        )
        Path(scratch, "evaluation", "judgement.json").rename(Path(target).with_name("judgement.json"))


@dataclass(frozen=True, eq=False)
class Measured:
    """All test images, once as they are and once with each damage, measured as requests are.

    Attributes:
        whole: `WindowValues` of all images, and rejections and mistakes of each.
        damaged: The same by damage and severity.
    """

    reference: Any
    whole: "Pool"
    damaged: dict[tuple[str, int], "Pool"]
    names: dict[tuple[str, int], str]


@dataclass(frozen=True, eq=False)
class Pool:
    """Values of N images, of which windows are drawn."""

    values: dict[str, NDArray[np.float32]]
    confidence: NDArray[np.float32]
    unlikeness: NDArray[np.float32]
    answers: NDArray[np.int64]
    rejected: NDArray[np.bool_]
    wrong: NDArray[np.bool_]


def measured(directory: Path, test: Path) -> Measured:
    """Measure a test split and its damaged copies."""
    from components.common.data.dataset import open_split
    from components.common.model.judgement import Judgement
    from components.common.model.reference import Reference, confidences
    from components.common.model.runtime import RuntimeClassifier
    from components.evaluate.robustness import corruptions

    reference, model = Reference.load(directory), RuntimeClassifier(directory)
    reject_below = Judgement.load(directory.parent).reject_below
    split = open_split(test, "test")
    images = np.array(split.images)

    def pool(given: NDArray[np.uint8]) -> Pool:
        probabilities, values = model.probabilities(given), reference.values_of(given)
        answers = probabilities.argmax(axis=1)
        return Pool(
            values,
            confidences(probabilities),
            reference.unlikeness(values),
            answers,
            probabilities.max(axis=1) < reject_below,
            answers != split.labels,
        )

    damaged, names = {}, {}
    for name, (unit, _, severities, damage) in corruptions(split.spec).items():
        for number, severity in enumerate(severities):
            damaged[name, number] = pool(damage(images, severity))
            names[name, number] = f"{name}, {severity:g} {unit}"
    return Measured(reference, pool(images), damaged, names)


def alarms(
    found: Measured,
    size: int,
    damage: tuple[str, int] | None = None,
    share: float = 0.0,
    windows: int = WINDOWS,
) -> float:
    """Return in which part of windows drift is found, where a share of each window's images is damaged."""
    from components.monitor.drift import Rules, judge_window

    generator, alarmed = np.random.default_rng(size), 0
    changed = round(share * size)
    for _ in range(windows):
        rows = generator.choice(len(found.whole.answers), size, replace=False)
        parts = [(found.whole, rows[changed:])]
        if damage:
            parts.append((found.damaged[damage], rows[:changed]))
        alarmed += judge_window(found.reference, _window(found, parts), Rules())[0] == "drift"
    return alarmed / windows


def _window(found: Measured, parts: list[tuple[Pool, NDArray[np.intp]]]) -> Any:
    from components.monitor.drift import WindowValues

    def joined(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(pool, name)[rows] for pool, rows in parts])

    size = sum(len(rows) for _, rows in parts)
    return WindowValues(
        values={
            name: np.concatenate([pool.values[name][rows] for pool, rows in parts])
            for name in found.reference.values
        },
        confidence=joined("confidence"),
        unlikeness=joined("unlikeness"),
        answered=np.bincount(joined("answers"), minlength=len(found.reference.answered)),
        rejected=int(joined("rejected").sum()),
        labelled=size,
        wrong=int(joined("wrong").sum()),
    )
