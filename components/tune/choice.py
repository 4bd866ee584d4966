"""The choice of the best configuration of a finished search."""

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from components.common.plan.training import TrainConfig
from components.common.record import Record


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
        contenders: The baseline first, then the finalists, best first.
        noise: Standard error of the difference of two of their means, from the spread of all; a finalist has to beat
            the baseline by more.
    """

    FILE: ClassVar[str] = "configuration.json"

    trial: int
    validation_accuracy: float
    baseline_validation_accuracy: float
    trials: int
    overrides: dict[str, Any]
    contenders: list[Contender]
    noise: float

    def as_json(self) -> str:
        """Return the content of the file."""
        return self.model_dump_json(indent=2)

    def sentence(self) -> str:
        """Return the outcome in a sentence, for people."""
        baseline, *finalists = self.contenders
        if not finalists:
            others = f"none of {self.trials - 1} other trials beats its" if self.trials > 1 else "alone, with"
            return f"the baseline is kept: {others} {baseline.mean:.4f}"
        best = finalists[0]
        against = (
            f"validation {best.spread} against the baseline's {baseline.spread}, means of "
            f"{len(best.accuracies)} seeds with a standard error of {self.noise:.4f}"
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
) -> Choice:
    """Choose the finalist with the best mean, or the baseline when none beats it by more than the noise.

    Args:
        baseline: The baseline's configuration.
        options: Training options of each finalist by trial.
        accuracies: Validation accuracies over the seeds by trial; trial 0 is the baseline.
        trials: Configurations tried, the baseline included.
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
    contenders.sort(key=lambda contender: (-contender.mean, contender.trial))
    reference = Contender(0, {}, accuracies[0])
    noise = standard_error([reference, *contenders])
    best = contenders[0] if contenders and contenders[0].mean - reference.mean > noise else reference
    return Choice(
        trial=best.trial,
        validation_accuracy=best.mean,
        baseline_validation_accuracy=reference.mean,
        trials=trials,
        overrides=best.overrides,
        contenders=[reference, *contenders],
        noise=noise,
    )


def standard_error(contenders: list[Contender]) -> float:
    """Return the standard error of the difference of two means, from the pooled variance over the seeds.

    With one seed each there is no spread to estimate it from. It is then 0, and any difference counts.
    """
    repeated = [contender.accuracies for contender in contenders if len(contender.accuracies) > 1]
    if not repeated:
        return 0.0
    pooled = statistics.fmean(statistics.variance(accuracies) for accuracies in repeated)
    return math.sqrt(2 * pooled / len(repeated[0]))
