"""What the evaluation found; `evaluation.json` holds it whole."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter

from components.common.storage.files import read_json
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
    """The data set whose test split was read, and the digest of that split."""

    name: str
    digest: str


@dataclass(frozen=True)
class Evaluation:
    """Baseline, tuned model and champion on the same test images, and what follows.

    `candidate` was chosen on the validation split. In `tuned_against_baseline` the baseline is the reference. All
    metrics are of calibrated models, as they would be registered; `calibration`, `selective` and `profile` are the
    candidate's. `baseline_seeds` and `tuned_seeds` are the same where the models are, and None for a configuration
    that was trained with one seed.
    """

    dataset: DatasetReference
    baseline: Metrics
    tuned: Metrics
    tuned_against_baseline: Comparison
    baseline_seeds: SeedAccuracies | None
    tuned_seeds: SeedAccuracies | None
    candidate: Literal["baseline", "tuned"]
    champion: ScoredChampion | None
    calibration: Calibration
    selective: Selective
    profile: Profile
    champion_profile: Profile | None
    min_accuracy: float
    decision: Decision
    lineage: dict[str, str]

    @property
    def candidate_metrics(self) -> Metrics:
        return self.tuned if self.candidate == "tuned" else self.baseline

    @property
    def candidate_seeds(self) -> SeedAccuracies | None:
        return self.tuned_seeds if self.candidate == "tuned" else self.baseline_seeds

    def headline(self) -> dict[str, float]:
        """The numbers to compare runs by: the candidate's, and each model's under its own prefix.

        MLflow shows what has a prefix in a section of its own, after the others.
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

    def save(self, path: Path) -> None:
        path.write_bytes(TypeAdapter(Evaluation).dump_json(self, indent=2))

    @classmethod
    def load(cls, path: Path) -> "Evaluation":
        return read_json(path, cls)
