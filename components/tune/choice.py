"""Choose the best configuration of a finished search."""

import json
import math
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from components.common.plan.training import TrainConfig


@dataclass(frozen=True)
class Contender:
    """A configuration that was trained with several seeds.

    Attributes:
        trial: Its number; 0 is the baseline.
        overrides: Where it differs from the baseline.
        accuracies: Validation accuracy of each training.
    """

    trial: int
    overrides: dict[str, Any]
    accuracies: list[float]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.accuracies)

    @property
    def spread(self) -> str:
        return f"{self.mean:.4f} ({min(self.accuracies):.4f} to {max(self.accuracies):.4f})"


@dataclass(frozen=True)
class Choice:
    """The outcome of a search.

    Attributes:
        trial: The chosen trial; 0 is the baseline.
        overrides: Where the chosen configuration differs from the baseline's.
        trials: Configurations tried, the baseline included.
        contenders: The baseline first, then the finalists, best first.
        noise: Standard error of the difference of two of their means, from the spread of all; a finalist has to beat
            the baseline by more.
    """

    trial: int
    validation_accuracy: float
    baseline_validation_accuracy: float
    trials: int
    overrides: dict[str, Any]
    contenders: list[Contender]
    noise: float

    def as_json(self) -> str:
        return json.dumps(asdict(self), indent=2)

    def sentence(self) -> str:
        baseline, *finalists = self.contenders
        if not finalists:
            return f"none of {self.trials} trials stands against the baseline's {baseline.spread}"
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


def choose(
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
    own = baseline.model_dump(mode="json")
    contenders = [
        Contender(
            trial, {name: value for name, value in chosen.items() if value != own[name]}, accuracies[trial]
        )
        for trial, chosen in options.items()
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

    With one seed each there is no spread to estimate it from: it is 0, and any difference counts.
    """
    repeated = [contender.accuracies for contender in contenders if len(contender.accuracies) > 1]
    if not repeated:
        return 0.0
    pooled = statistics.fmean(statistics.variance(accuracies) for accuracies in repeated)
    return math.sqrt(2 * pooled / len(repeated[0]))
