"""`python -m benchmarks.monitoring`: false alarms and detection of `mnist-pipeline monitor`.

Windows are drawn at random from the test split, which neither the model nor its reference has seen, and are judged as
the command judges them.
"""

import argparse
import os
import shutil
import sys
import timeit
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmarks.page import table_lines
from benchmarks.prepare import prepare
from benchmarks.process import call
from benchmarks.setting import Floor

if TYPE_CHECKING:
    from components.common.model.reference import Reference
    from components.monitor.drift import WindowValues

WINDOWS, SIZE = 200, 500
SIZES = (100, 250, 500, 1_000, 2_000)
SHARES = (0.05, 0.1, 0.2, 0.5, 1.0)
# Place of a damage's severity 3 among those of the report's robustness curves.
THIRD = 2
REPEATS = 5
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
        shutil.move(Path(scratch, "evaluation", "judgement.json"), Path(target).with_name("judgement.json"))


@dataclass(frozen=True, eq=False)
class Pool:
    """Images that windows are drawn from, measured as requests are; N of each."""

    values: dict[str, NDArray[np.float32]]
    confidence: NDArray[np.float32]
    unlikeness: NDArray[np.float32]
    answers: NDArray[np.int64]
    rejected: NDArray[np.bool_]
    wrong: NDArray[np.bool_]

    def rows(self, rows: NDArray[np.intp]) -> "Pool":
        """Return some of the images."""
        values = {name: column[rows] for name, column in self.values.items()}
        others = (getattr(self, field.name)[rows] for field in fields(self)[1:])
        return Pool(values, *others)

    def window(self, classes: int) -> "WindowValues":
        """Return all images as a window, every label of which is known."""
        from components.monitor.drift import WindowValues

        return WindowValues(
            values=self.values,
            confidence=self.confidence,
            unlikeness=self.unlikeness,
            answered=np.bincount(self.answers, minlength=classes),
            rejected=int(self.rejected.sum()),
            labelled=len(self.answers),
            wrong=int(self.wrong.sum()),
        )


@dataclass(frozen=True, eq=False)
class Measured:
    """A model's reference, and test images as they are and with each damage.

    Attributes:
        classes: Names of the classes.
        reference: The model's.
        whole: The images as they are.
        damaged: The same by damage and number of the severity.
        names: Damage and severity in words.
    """

    classes: tuple[str, ...]
    reference: "Reference"
    whole: Pool
    damaged: dict[tuple[str, int], Pool]
    names: dict[tuple[str, int], str]


def measured(directory: Path, test: Path) -> Measured:
    """Measure a test split and its damaged copies.

    Args:
        directory: Of the candidate, with its judgement above it.
        test: Prepared data with the test split.
    """
    from components.common.data.dataset import open_split
    from components.common.model.judgement import Judgement
    from components.common.model.reference import Reference
    from components.common.model.runtime import RuntimeClassifier
    from components.evaluate.robustness import corruptions

    reference, model = Reference.load(directory), RuntimeClassifier(directory)
    reject_below = Judgement.load(directory.parent).reject_below
    split = open_split(test, "test")
    images = np.array(split.images)

    def pool(given: NDArray[np.uint8]) -> Pool:
        return image_pool(reference, given, model.probabilities(given), split.labels, reject_below)

    damaged, names = {}, {}
    for name, (unit, _, severities, damage) in corruptions(split.spec).items():
        for number, severity in enumerate(severities):
            damaged[name, number] = pool(damage(images, severity))
            names[name, number] = f"{name}, {severity:g} {unit}"
    return Measured(split.spec.classes, reference, pool(images), damaged, names)


def image_pool(
    reference: "Reference",
    images: NDArray[np.uint8],
    probabilities: NDArray[np.float32],
    labels: NDArray[np.integer],
    reject_below: float,
) -> Pool:
    """Measure N images, given the probabilities that the model answers, N x classes, and their labels, N."""
    from components.common.model.reference import confidences

    values, answers = reference.values_of(images), probabilities.argmax(axis=1)
    rejected = probabilities.max(axis=1) < reject_below
    unlike = reference.unlikeness(values)
    return Pool(values, confidences(probabilities), unlike, answers, rejected, answers != labels)


def alarms(
    found: Measured,
    size: int,
    damage: tuple[str, int] | None = None,
    share: float = 1.0,
    windows: int | None = None,
) -> float:
    """Return in which part of windows drift is found.

    Args:
        found: What was measured.
        size: Requests of a window, drawn without replacement.
        damage: What befalls a share of the images of each window; None for nothing.
        share: That share.
        windows: How many are drawn, always the same for a size; `WINDOWS` where it is not given.
    """
    from components.monitor.drift import judge_window
    from components.monitor.rules import Rules

    generator, alarmed = np.random.default_rng(size), 0
    count = windows or WINDOWS
    for _ in range(count):
        rows = generator.choice(len(found.whole.answers), size, replace=False)
        pool = found.whole.rows(rows)
        if damage:
            changed = round(share * size)
            pool = _joined(found.damaged[damage].rows(rows[:changed]), found.whole.rows(rows[changed:]))
        window = pool.window(len(found.classes))
        alarmed += judge_window(found.reference, window, Rules(), found.classes)[0] == "drift"
    return alarmed / count


def _joined(first: Pool, second: Pool) -> Pool:
    values = {name: np.concatenate([column, second.values[name]]) for name, column in first.values.items()}
    names = [field.name for field in fields(Pool)[1:]]
    return Pool(values, *(np.concatenate([getattr(first, name), getattr(second, name)]) for name in names))


def halved(found: Measured) -> Measured:
    """Make the reference of one half of the test images, and leave the other half for windows."""
    rows = np.random.default_rng(0).permutation(len(found.whole.answers))
    half, rest = np.sort(rows[: len(rows) // 2]), np.sort(rows[len(rows) // 2 :])
    kept = found.whole.rows(half)
    reference = replace(
        found.reference,
        values=kept.values,
        confidence=kept.confidence,
        answered=np.bincount(kept.answers, minlength=len(found.classes)),
        rejected=int(kept.rejected.sum()),
        right=int((~kept.wrong).sum()),
    )

    def again(pool: Pool) -> Pool:
        left = pool.rows(rest)
        return replace(left, unlikeness=reference.unlikeness(left.values))

    damaged = {key: again(pool) for key, pool in found.damaged.items()}
    return Measured(found.classes, reference, again(found.whole), damaged, found.names)


def false_part(title: str, found: Measured, sizes: Sequence[int]) -> tuple[str, dict[int, float]]:
    """Return a table of false alarms by size of the window, and the rates."""
    fitting = [size for size in sizes if size <= len(found.whole.answers)]
    rates = {size: alarms(found, size) for size in fitting}
    rows = [[f"{size:,}", f"{rate:.1%}"] for size, rate in rates.items()]
    return f"{title}\n\n" + _table(["requests", "windows with drift"], rows), rates


def damage_part(found: Measured, size: int, windows: int) -> tuple[str, float]:
    """Return a table of detections by damage and share, and the least for the third severity of all images."""
    rates = {
        (key, share): alarms(found, size, key, share, windows) for key in found.damaged for share in SHARES
    }
    rows = [[found.names[key], *(f"{rates[key, share]:.0%}" for share in SHARES)] for key in found.damaged]
    least = min(rates[key, 1.0] for key in found.damaged if key[1] == THIRD)
    return _table(["damage", *(f"{share:.0%} of the images" for share in SHARES)], rows), least


def page(mnist: Measured, digits: Measured, seconds: str, windows: int) -> tuple[str, list[Floor]]:
    """Return the page of figures, and the floors that they decide."""
    false_mnist, rates = false_part("On MNIST:", mnist, SIZES)
    halves, _ = false_part(
        "On scikit-learn's digits, where the reference is made of one half of the test split, in windows of the other "
        "half:",
        halved(digits),
        (100, 150),
    )
    writers, _ = false_part(
        "On the same digits with the model's own reference. Their test split was written by other people than the "
        "rest, so this is drift, which is found more surely in larger windows:",
        digits,
        (100, 250, 350),
    )
    damages, least = damage_part(mnist, SIZE, windows)
    floors = [
        Floor(f"false alarms in {WINDOWS} windows of {SIZE}", rates[SIZE], MOST_FALSE, at_least=False),
        Floor("least detection of a damage of severity 3", least, LEAST_FOUND),
    ]
    parts = [
        "# Monitoring: false alarms and detection",
        "Written by `make monitor-figures`; do not edit. How to watch a model is in "
        "[operations.md](operations.md#drift).",
        "Windows are drawn at random, without replacement, from the test split, which neither the model (recipe "
        "`fast`) nor its reference has seen. Each is judged as `mnist-pipeline monitor` judges it, with all labels "
        f"known. {seconds}",
        "## Floors",
        _table(["what", "found", "floor", ""], [_judged(floor) for floor in floors]),
        "## Windows without drift",
        f"In which part of {WINDOWS} windows drift is found; at most {MOST_FALSE:.0%} are promised.",
        false_mnist,
        halves,
        writers,
        "## Damages",
        f"In which part of {windows} windows of {SIZE} MNIST images drift is found, by the damages of the report's "
        "robustness curves and the share of images that have them. Up to 2% of a window is tolerated.",
        damages,
    ]
    return "\n\n".join(parts) + "\n", floors


def _judged(floor: Floor) -> list[str]:
    limit = f"{'at least' if floor.at_least else 'at most'} {floor.limit:.0%}"
    return [floor.name, f"{floor.measured:.1%}", limit, "met" if floor.met else "**missed**"]


def _table(columns: list[str], rows: list[list[str]]) -> str:
    return "\n".join(table_lines(columns, rows))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.monitoring", description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/monitoring.md"))
    parser.add_argument("--work", type=Path, help="directory that keeps data and models for another time")
    parser.add_argument("--windows", type=int, default=100, help="windows for each damage")
    options = parser.parse_args(arguments)
    with TemporaryDirectory() as scratch:
        work = options.work or Path(scratch)
        mnist, digits = (measured(*candidate(data, work)) for data in ("mnist", "digits"))
        text, floors = page(mnist, digits, cost(*candidate("mnist", work)), options.windows)
    options.output.write_text(text)
    print(f"wrote {options.output}")
    missed = [floor.name for floor in floors if not floor.met]
    if missed:
        print(f"missed floors: {', '.join(missed)}")
    return 1 if missed else 0


def cost(directory: Path, test: Path) -> str:
    """Return in words what a reference costs: time at registration, and bytes."""
    from components.common.data.dataset import open_split
    from components.common.model.judgement import Judgement
    from components.common.model.reference import REFERENCE_FILE, make_reference
    from components.common.model.runtime import RuntimeClassifier
    from components.common.provenance import processor_name

    development = test.with_name("development")
    training, validation = (open_split(development, name) for name in ("train", "validation"))
    model, limit = RuntimeClassifier(directory), Judgement.load(directory.parent).reject_below
    seconds = min(
        timeit.repeat(
            lambda: make_reference(training.images, validation, model.probabilities, limit),
            number=1,
            repeat=REPEATS,
        )
    )
    size = (directory / REFERENCE_FILE).stat().st_size
    return (
        f"The reference of MNIST has {size / 1000:.0f} kB. Making it took {seconds:.1f} s of an evaluation, the least "
        f"of {REPEATS} times, on {processor_name()}, {os.cpu_count()} logical cores."
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
