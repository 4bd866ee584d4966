"""Results of an evaluation."""

from dataclasses import dataclass
from typing import Literal

from components.common.data.spec import MNIST_SPEC, ImageSpec
from components.common.model.exchange import Exchange
from components.common.record import Record
from components.evaluate.calibration import Calibration
from components.evaluate.champion import ScoredChampion
from components.evaluate.compare import Comparison
from components.evaluate.gate import Decision
from components.evaluate.metrics import Metrics
from components.evaluate.profile import Profile
from components.evaluate.seeds import SeedAccuracies
from components.evaluate.selective import Selective


@dataclass(frozen=True)
class DatasetReference:
    """A data set's name, and the digest of its test split."""

    name: str
    digest: str


class Evaluation(Record):
    """Results of baseline, tuned model and champion on the same test images, and the decision.

    All metrics are of calibrated models, as they would be registered.

    Attributes:
        spec: Description of the images, with the names of the classes.
        tuned_against_baseline: The tuned model compared with the baseline as the reference.
        baseline_seeds: Accuracies of the baseline's configuration over several seeds; None where it was trained with
            one seed. The same as `tuned_seeds` where the models are the same.
        tuned_seeds: Accuracies of the tuned configuration over several seeds; None for one seed.
        candidate: The model that was chosen on the validation split.
        kept: Whether the tuned model is the baseline, because the search found none better.
        calibration: The candidate's.
        selective: The candidate's.
        profile: The candidate's.
        exchange: The candidate's.
        min_accuracy: Accuracy below which nothing is registered: the plan's, or what the data asks for.
        lineage: Commit and runs that the models come from.
    """

    FILE = "evaluation.json"

    dataset: DatasetReference
    spec: ImageSpec = MNIST_SPEC
    baseline: Metrics
    tuned: Metrics
    tuned_against_baseline: Comparison
    baseline_seeds: SeedAccuracies | None
    tuned_seeds: SeedAccuracies | None
    candidate: Literal["baseline", "tuned"]
    kept: bool = False
    champion: ScoredChampion | None
    calibration: Calibration
    selective: Selective
    profile: Profile
    champion_profile: Profile | None
    exchange: Exchange
    min_accuracy: float
    decision: Decision
    lineage: dict[str, str]

    @property
    def models(self) -> dict[str, Metrics]:
        """Return the metrics of the models by name: the baseline, the tuned one unless it is the same, the champion."""
        models = {"baseline": self.baseline}
        if not self.kept:
            models["tuned"] = self.tuned
        if self.champion:
            models["champion"] = self.champion.metrics
        return models

    @property
    def candidate_metrics(self) -> Metrics:
        return self.tuned if self.candidate == "tuned" else self.baseline

    @property
    def candidate_seeds(self) -> SeedAccuracies | None:
        return self.tuned_seeds if self.candidate == "tuned" else self.baseline_seeds

    def headline(self) -> dict[str, float]:
        """Return the numbers to compare runs by: the candidate's, and each model's with the model's name as prefix.

        MLflow shows the metrics of a prefix in a separate section, after the others.
        """
        models = {"": self.candidate_metrics, "baseline/": self.baseline, "tuned/": self.tuned}
        if self.champion:
            models["champion/"] = self.champion.metrics
        headline = {
            f"{prefix}{name}": value
            for prefix, metrics in models.items()
            for name, value in metrics.headline().items()
        }
        headline |= self.profile.headline() | {
            "temperature": self.calibration.temperature,
            "test_ece_uncalibrated": self.calibration.uncalibrated.ece,
            "test_coverage": self.selective.threshold_coverage,
        }
        for prefix, seeds in {"": self.candidate_seeds, "tuned/": self.tuned_seeds}.items():
            if seeds:
                headline |= {f"{prefix}{name}": value for name, value in seeds.headline().items()}
        if self.champion:
            headline["test_accuracy_gain"] = self.champion.comparison.difference
            headline["mcnemar_p"] = self.champion.comparison.p_value
        return headline
