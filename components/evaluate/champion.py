"""The reigning champion: the registered model version that holds the alias `champion`."""

import os
from dataclasses import dataclass
from pathlib import Path

from components.common.errors import PipelineError
from components.common.model.aliases import CHAMPION
from components.common.model.classifier import model_file
from components.evaluate.compare import Comparison
from components.evaluate.metrics import Metrics


@dataclass(frozen=True)
class ChampionModel:
    """A downloaded champion; one `.keras` file lies at or below `directory`."""

    name: str
    version: str
    directory: Path

    def unusable(self, reason: object) -> PipelineError:
        return PipelineError(
            f"The champion {self.name} v{self.version} must be a readable Keras model, to compare a candidate "
            f"with; in MLflow, move the alias {CHAMPION!r} to a good version or delete it ({reason})"
        )


@dataclass(frozen=True)
class ScoredChampion:
    """The champion on the present test split; in `comparison` it is the reference."""

    name: str
    version: str
    metrics: Metrics
    comparison: Comparison


def fetch_champion(model_name: str, target: Path) -> ChampionModel | None:
    """Download the champion of `model_name` into `target`.

    Returns:
        None without `MLFLOW_TRACKING_URI`, without such a registered model, and without a champion.

    Raises:
        PipelineError: The registry does not answer (an unjudged model must not be registered), or it names a
            champion whose files cannot be fetched.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return None
    version = _champion_version(model_name)
    if version is None:
        return None
    champion = ChampionModel(model_name, version, target)
    _download(champion)
    return champion


def _champion_version(model_name: str) -> str | None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        aliases: dict[str, str] = MlflowClient().get_registered_model(model_name).aliases
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        reason = str(error).partition("\n")[0]
        raise PipelineError(
            f"MLflow must name the champion of {model_name!r} before a candidate is judged, but at "
            f"{os.environ['MLFLOW_TRACKING_URI']}: {reason}"
        ) from error
    return aliases.get(CHAMPION)


def _download(champion: ChampionModel) -> None:
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException
    from requests import RequestException

    uri = f"models:/{champion.name}/{champion.version}"
    champion.directory.mkdir(parents=True, exist_ok=True)
    try:
        download_artifacts(artifact_uri=uri, dst_path=str(champion.directory))
        # MLflow downloads a version whose objects are gone without a complaint, as nothing.
        model_file(champion.directory)
    except (MlflowException, RequestException, OSError, PipelineError) as error:
        raise champion.unusable(str(error).partition("\n")[0]) from error
