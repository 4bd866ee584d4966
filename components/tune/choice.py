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
        contenders: The baseline, then the finalist, if there is one.
        needed: Gain in mean validation accuracy over the baseline that the finalist needs.
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
        baseline, best = self.contenders[0], self.contenders[-1]
        if best is baseline:
            others = (
                f"none of {self.trials - 1} other trials is far above its"
                if self.trials > 1
                else "alone, with"
            )
            return f"the baseline is kept: {others} {baseline.mean:.4f}"
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
    accuracies: Mapping[int, list[float]],
    options: Mapping[str, Any],
    trials: int,
    images: int,
) -> Choice:
    """Choose the finalist if its mean beats the baseline's by `needed_gain`, else the baseline.

    Args:
        baseline: The baseline's configuration.
        accuracies: Validation accuracies by trial, of trainings that chose no finalist: those of the baseline, trial 0,
            then those of the finalist, if there is one.
        options: Training options of the finalist.
        trials: Configurations tried, the baseline included.
        images: Validation images.
    """
    unchanged = baseline.model_dump(mode="json")
    overrides = {name: value for name, value in options.items() if value != unchanged[name]}
    contenders = [Contender(trial, overrides if trial else {}, each) for trial, each in accuracies.items()]
    best, needed = contenders[0], 0.0
    if len(contenders) > 1:
        reference, finalist = contenders
        needed = needed_gain(reference, finalist, images)
        best = finalist if finalist.mean - reference.mean > needed else reference
    return Choice(
        trial=best.trial,
        validation_accuracy=best.mean,
        baseline_validation_accuracy=contenders[0].mean,
        trials=trials,
        overrides=best.overrides,
        contenders=contenders,
        needed=needed,
    )


def gain_by_images(accuracy: float, images: int, seeds: int) -> float:
    """Return the gain in mean accuracy that a finalist shows in at most 5% of searches by its images.

    Args:
        accuracy: The baseline's accuracy.
        images: Validation images.
        seeds: Trainings of each.
    """
    # With an image more that is wrong, since no accuracy is known to be 1.
    accuracy = min(accuracy, 1 - 1 / images)
    # Without SciPy, which takes half a second to import in each worker.
    chance = statistics.NormalDist().inv_cdf(1 - FALSE_REPLACEMENTS)
    return chance * math.sqrt(2 * accuracy * (1 - accuracy) / images / seeds)


def needed_gain(reference: Contender, finalist: Contender, images: int) -> float:
    """Return the gain in mean accuracy that a finalist shows by chance in at most 5% of searches.

    It is the larger of two. One is that of a t-test, with a variance pooled over the seeds of both. The other is that
    of so many images: a few seeds can be alike by chance, and with one seed there is no spread to see.

    Args:
        reference: The baseline.
        finalist: The finalist, with as many seeds.
        images: Validation images.
    """
    from scipy.stats import t

    seeds = len(reference.accuracies)
    needed = gain_by_images(reference.mean, images, seeds)
    if seeds > 1:
        pooled = statistics.fmean(statistics.variance(each.accuracies) for each in (reference, finalist))
        needed = max(needed, t.isf(FALSE_REPLACEMENTS, 2 * (seeds - 1)) * math.sqrt(2 * pooled / seeds))
    return float(needed)
