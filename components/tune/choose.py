"""Choose the best configuration of a finished study."""

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from components.train.config import TrainConfig

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Choice:
    """The best trial; `overrides` holds where its configuration differs from the baseline's."""

    trial: int
    validation_accuracy: float
    baseline_validation_accuracy: float
    trials: int
    overrides: dict[str, Any]

    def as_json(self) -> str:
        return json.dumps(asdict(self), indent=2)

    def sentence(self) -> str:
        if not self.overrides:
            return (
                f"none of {self.trials} trials beats the baseline's {self.baseline_validation_accuracy:.4f}"
            )
        chosen = ", ".join(
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in self.overrides.items()
        )
        return (
            f"trial {self.trial} of {self.trials} is best: validation {self.validation_accuracy:.4f} against the "
            f"baseline's {self.baseline_validation_accuracy:.4f} with {chosen}"
        )


def choose(study: "optuna.Study", baseline: TrainConfig) -> Choice:
    """Return the trial with the best validation accuracy; among equals the earliest, so the baseline first."""
    from optuna.trial import TrialState

    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    best = max(complete, key=lambda trial: (trial.values[0], -trial.number))
    return Choice(
        trial=best.number,
        validation_accuracy=best.values[0],
        baseline_validation_accuracy=complete[0].values[0],
        trials=len(study.trials),
        overrides={name: value for name, value in best.params.items() if value != getattr(baseline, name)},
    )
