"""The choice of the best configuration of a finished search."""

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from components.common.plan.training import TrainConfig
from components.common.record import Record

# Part of searches among equal configurations that may replace the baseline.
FALSE_REPLACEMENTS = 0.05


@dataclass(frozen=True)
class Contender:
    """A configuration that was trained with several seeds.

    Attributes:
        trial: Number of its trial; 0 is the baseline.
        overrides: Options in which it differs from the baseline.
        accuracies: Validation accuracy of each training.
    """

    trial: int
    overrides: dict[str, Any]
    accuracies: list[float]

    @property
    def mean(self) -> float:
        """The mean validation accuracy."""
        return statistics.fmean(self.accuracies)

    @property
    def spread(self) -> str:
        """The mean and the range of the validation accuracies, for people."""
        return f"{self.mean:.4f} ({min(self.accuracies):.4f} to {max(self.accuracies):.4f})"


class Choice(Record):
    """The outcome of a search.

    Attributes:
        trial: The chosen trial; 0 is the baseline.
        validation_accuracy: Mean validation accuracy of the chosen configuration.
        baseline_validation_accuracy: Mean validation accuracy of the baseline.
        trials: Configurations tried, the baseline included.
        overrides: Options in which the chosen configuration differs from the baseline.
        contenders: The baseline first, then the finalists, best first; those that were given up have fewer accuracies.
        needed: Gain in mean validation accuracy over the baseline that a finalist needs.
    """

    FILE: ClassVar[str] = "configuration.json"

    trial: int
    validation_accuracy: float
    baseline_validation_accuracy: float
    trials: int
    overrides: dict[str, Any]
    contenders: list[Contender]
    needed: float

    def as_json(self) -> str:
        """Return the content of the file."""
        return self.model_dump_json(indent=2)

    def sentence(self) -> str:
        """Return the outcome in a sentence, for people."""
        baseline, *finalists = self.contenders
        if not finalists:
            others = (
                f"none of {self.trials - 1} other trials is far above its"
                if self.trials > 1
                else "alone, with"
            )
            return f"the baseline is kept: {others} {baseline.mean:.4f}"
        best = finalists[0]
        count = len(best.accuracies)
        against = (
            f"validation {best.spread} against the baseline's {baseline.spread}, "
            f"{'one seed each' if count == 1 else f'means of {count} seeds'}; a gain counts from {self.needed:.4f}"
        )
        if self.trial == 0:
            return f"the baseline is kept: the best of {self.trials} trials, {best.trial}, does not beat it: {against}"
        chosen = ", ".join(
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in self.overrides.items()
        )
        return f"trial {self.trial} of {self.trials} is best: {against}, with {chosen}"


def choose_configuration(
    baseline: TrainConfig,
    options: Mapping[int, Mapping[str, Any]],
    accuracies: Mapping[int, list[float]],
    trials: int,
    images: int,
) -> Choice:
    """Choose the finalist with the best mean, or the baseline when none beats it by `needed_gain`.

    Args:
        baseline: The baseline's configuration.
        options: Training options of each finalist by trial.
        accuracies: Validation accuracies by trial, of trainings that chose no finalist; trial 0 is the baseline. A
            finalist with fewer than the baseline was given up.
        trials: Configurations tried, the baseline included.
        images: Validation images.
    """
    unchanged = baseline.model_dump(mode="json")
    contenders = [
        Contender(
            trial,
            {name: value for name, value in changed.items() if value != unchanged[name]},
            accuracies[trial],
        )
        for trial, changed in options.items()
    ]
    contenders.sort(key=lambda contender: (-len(contender.accuracies), -contender.mean, contender.trial))
    reference = Contender(0, {}, accuracies[0])
    needed = needed_gain([reference, *contenders], images) if contenders else 0.0
    best = reference
    if contenders and len(contenders[0].accuracies) == len(reference.accuracies):
        best = contenders[0] if contenders[0].mean - reference.mean > needed else reference
    return Choice(
        trial=best.trial,
        validation_accuracy=best.mean,
        baseline_validation_accuracy=reference.mean,
        trials=trials,
        overrides=best.overrides,
        contenders=[reference, *contenders],
        needed=needed,
    )


def gain_by_images(accuracy: float, images: int, seeds: int, finalists: int) -> float:
    """Return the gain in mean accuracy that one of several finalists shows in at most 5% of searches by its images.

    Args:
        accuracy: The baseline's accuracy.
        images: Validation images.
        seeds: Trainings of each.
        finalists: Their number.
    """
    # With an image more that is wrong, since no accuracy is known to be 1.
    accuracy = min(accuracy, 1 - 1 / images)
    # Without SciPy, which takes half a second to import in each worker.
    chance = statistics.NormalDist().inv_cdf(1 - FALSE_REPLACEMENTS / finalists)
    return chance * math.sqrt(2 * accuracy * (1 - accuracy) / images / seeds)


def needed_gain(contenders: list[Contender], images: int) -> float:
    """Return the gain in mean accuracy that one of several finalists shows by chance in at most 5% of searches.

    It is the larger of two. One is that of a t-test, with a variance pooled over the contenders' seeds. The other is
    that of so many images: a few seeds can be alike by chance, and with one seed there is no spread to see. Each is for
    5% divided by the number of finalists (Bonferroni).

    Args:
        contenders: The baseline, and at least one finalist.
        images: Validation images.
    """
    from scipy.stats import t

    reference, *finalists = contenders
    seeds, rate = len(reference.accuracies), FALSE_REPLACEMENTS / len(finalists)
    needed = gain_by_images(reference.mean, images, seeds, len(finalists))
    if seeds > 1:
        spreads = [(each, contender.mean) for contender in contenders for each in contender.accuracies]
        freedom = len(spreads) - len(contenders)
        pooled = sum((accuracy - mean) ** 2 for accuracy, mean in spreads) / freedom
        needed = max(needed, t.isf(rate, freedom) * math.sqrt(2 * pooled / seeds))
    return float(needed)
