"""The champion: the registered model version with the alias `champion`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from components.common.data.spec import ImageSpec
from components.common.errors import PipelineError
from components.common.model.aliases import CHAMPION, DECISIONS
from components.common.model.stored_version import fetch_version
from components.common.patience import patiently
from components.common.settings import settings
from components.common.tracking.client import find_registered_model, mlflow_must_answer
from components.evaluate.compare import Comparison
from components.evaluate.metrics import Metrics


@dataclass(frozen=True)
class Decisions:
    """The decisions on candidates by test split, as tags of the registered model keep them.

    Attributes:
        tags: Tags of the registered model.
    """

    tags: Mapping[str, str] = field(default_factory=dict)

    def number(self, test_digest: str, run_id: str) -> int:
        """Return the number of a run's decision among those on a test split; a run decides once."""
        number, _, latest = self.tags.get(decisions_tag(test_digest), "0").partition(" ")
        return max(1, (int(number) if number.isdecimal() else 0) + (latest != run_id))


def decisions_tag(test_digest: str) -> str:
    """Return the tag that holds the number of decisions on a test split, and the run of the latest."""
    return f"{DECISIONS}{test_digest[:16]}"


@dataclass(frozen=True)
class ChampionModel:
    """A downloaded champion.

    Attributes:
        directory: One `.keras` file lies at or below it.
        decisions: The decisions against champions of this name.
    """

    name: str
    version: str
    directory: Path
    decisions: Decisions = field(default_factory=Decisions)

    def unusable(self, reason: object) -> PipelineError:
        """Return the error for a champion that cannot be compared with a candidate."""
        return PipelineError(
            f"The champion {self.name} v{self.version} must be a readable Keras model but is not "
            f"({str(reason).rstrip('.')}): in MLflow, move the alias {CHAMPION!r} to a good version or delete it."
        )

    def require_comparable(self, theirs: ImageSpec, ours: ImageSpec) -> None:
        """Refuse a champion of other images or classes; classes that have only numbers for names may be any.

        Args:
            theirs: Description of the images that the champion takes.
            ours: Description of this run's images.

        Raises:
            PipelineError: The two differ.
        """
        numbers = tuple(map(str, range(len(ours.classes))))
        named = {theirs.classes, ours.classes} - {numbers}
        if theirs.shape == ours.shape and len(theirs.classes) == len(ours.classes) and len(named) <= 1:
            return
        first = next(
            (
                f", such as {a!r}, not {b!r}"
                for a, b in zip(theirs.classes, ours.classes, strict=False)
                if a != b
            ),
            "",
        )
        raise PipelineError(
            f"The champion {self.name} v{self.version} must be of this run's images, {ours.size} in "
            f"{len(ours.classes)} classes, but is of images {theirs.size} in {len(theirs.classes)} classes{first}: "
            "give the data a name of its own (data.name), or the model (registry.model)."
        )


@dataclass(frozen=True)
class ScoredChampion:
    """The champion's results on the test split; in `comparison` it is the reference.

    Attributes:
        other_test_data: Whether its record names another test split than this run's.
        identical: Whether the candidate has the same weights.
        decision: Number of this decision among those on this test split.
    """

    name: str
    version: str
    metrics: Metrics
    comparison: Comparison
    other_test_data: bool = False
    identical: bool = False
    decision: int = 1


def fetch_champion(model_name: str, target: Path, *, allow_unsigned: bool = False) -> ChampionModel | None:
    """Download the champion of `model_name` into `target`, and check that it is what was signed.

    Returns:
        None without an MLflow server, without such a registered model, and without a champion.

    Raises:
        PipelineError: The registry refuses; or the champion's files are not there, are not signed by a trusted key, or
            are not what was signed.
        UnavailableError: MLflow or its store does not answer for OUTAGE_SECONDS; no candidate is judged without.
    """
    if not settings().mlflow_tracking_uri:
        return None

    def fetched() -> ChampionModel | None:
        with mlflow_must_answer():
            found = _champion_version(model_name)
            if found is None:
                return None
            version, tags = found
            champion = ChampionModel(model_name, version, target, Decisions(tags))
            _download(champion, allow_unsigned)
            return champion

    return patiently("evaluate", fetched)


def _champion_version(model_name: str) -> tuple[str, dict[str, str]] | None:
    """Return the champion's version, and the tags of the registered model; None without a champion."""
    from mlflow import MlflowClient

    model = find_registered_model(MlflowClient(), model_name)
    return (model.aliases[CHAMPION], model.tags) if model and CHAMPION in model.aliases else None


def _download(champion: ChampionModel, allow_unsigned: bool) -> None:
    from mlflow import MlflowClient

    fetched = fetch_version(
        MlflowClient(), champion.name, champion.version, champion.directory, allow_unsigned=allow_unsigned
    )
    if fetched.problems:
        raise champion.unusable("; ".join(fetched.problems))
