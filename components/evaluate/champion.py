"""The champion: the registered model version with the alias `champion`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from components.common.data.spec import ImageSpec
from components.common.errors import PipelineError, first_line
from components.common.model.aliases import CHAMPION
from components.common.model.classifier import model_file
from components.common.settings import settings
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
        return max(1, int(number) + (latest != run_id))


def decisions_tag(test_digest: str) -> str:
    """Return the tag that holds the number of decisions on a test split, and the run of the latest."""
    return f"decisions.{test_digest[:16]}"


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


def fetch_champion(model_name: str, target: Path) -> ChampionModel | None:
    """Download the champion of `model_name` into `target`.

    Returns:
        None without an MLflow server, without such a registered model, and without a champion.

    Raises:
        PipelineError: The registry does not answer, so that the candidate cannot be compared, or the champion's files
            cannot be fetched.
    """
    if not settings().mlflow_tracking_uri:
        return None
    found = _champion_version(model_name)
    if found is None:
        return None
    version, tags = found
    champion = ChampionModel(model_name, version, target, Decisions(tags))
    _download(champion)
    return champion


def _champion_version(model_name: str) -> tuple[str, dict[str, str]] | None:
    """Return the champion's version, and the tags of the registered model; None without a champion."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        model = MlflowClient().get_registered_model(model_name)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        reason = first_line(error)
        raise PipelineError(
            f"MLflow must name the champion of {model_name!r} before a candidate is evaluated but "
            f"{settings().mlflow_tracking_uri} failed ({reason.rstrip('.')}): start that server or name another."
        ) from error
    return (model.aliases[CHAMPION], model.tags) if CHAMPION in model.aliases else None


def _download(champion: ChampionModel) -> None:
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException
    from requests import RequestException

    uri = f"models:/{champion.name}/{champion.version}"
    champion.directory.mkdir(parents=True, exist_ok=True)
    try:
        download_artifacts(artifact_uri=uri, dst_path=str(champion.directory))
        # For a version whose objects are gone, MLflow downloads nothing and raises nothing.
        model_file(champion.directory)
    except (MlflowException, RequestException, OSError, PipelineError) as error:
        raise champion.unusable(first_line(error)) from error
