"""Verification of a registered version: its files, its schema and its answers."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.common.errors import PipelineError, first_line
from components.common.model.classifier import Classifier
from components.common.model.exchange import ONNX_FILE
from components.common.model.known_answers import compare_known_answers
from components.common.model.runtime import RuntimeClassifier
from components.common.tracking.client import mlflow_must_answer
from components.common.tracking.tags import MODEL_FILES
from components.register.package import file_digests, signature

if TYPE_CHECKING:
    from mlflow import MlflowClient

MOST_NAMED = 3


@dataclass(frozen=True)
class Verification:
    """Result of the check of a downloaded version; the version is sound when `problems` is empty.

    Attributes:
        name: The registered model.
        version: Number of the version.
        directory: The downloaded files.
        files: Number of files with the digest that was recorded at registration.
        difference: Largest difference between a probability, of the Keras model or of the ONNX file, and its stored
            value; None where this was not checked.
        problems: Differences from the registered version, in words.
    """

    name: str
    version: str
    directory: Path
    files: int
    difference: float | None
    problems: tuple[str, ...]

    def require(self) -> None:
        """Check that the version is sound.

        Raises:
            PipelineError: It has problems.
        """
        if self.problems:
            raise PipelineError(
                f"{self.name} version {self.version} must be what was registered but {'; '.join(self.problems)}: "
                "choose another version with `mnist-pipeline models promote`."
            )


def verify(client: "MlflowClient", name: str, version: str, directory: Path) -> Verification:
    """Download the version into `directory`, new or empty, and check it.

    The model is loaded only if every file is as it was registered, because a model runs code when it is loaded.

    Raises:
        UnavailableError: MLflow or its store does not answer.
        PipelineError: MLflow does not know the version.
    """
    from mlflow.artifacts import download_artifacts

    recorded = client.get_model_version(name, version).tags.get(MODEL_FILES)
    if recorded is None:
        problem = "it carries no digests: it was not registered by this pipeline's register step"
        return Verification(name, version, directory, 0, None, (problem,))
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with mlflow_must_answer():
            download_artifacts(artifact_uri=f"models:/{name}/{version}", dst_path=str(directory))
    except (PipelineError, OSError) as error:
        problem = f"its files cannot be fetched ({first_line(error)})"
        return Verification(name, version, directory, 0, None, (problem,))
    expected, found = json.loads(recorded), file_digests(directory)
    sound = len(expected.items() & found.items())
    if problems := _file_problems(expected, found):
        return Verification(name, version, directory, sound, None, problems)
    difference, problems = _check_answers(directory)
    return Verification(name, version, directory, sound, difference, problems)


def _file_problems(expected: dict[str, str], found: dict[str, str]) -> tuple[str, ...]:
    kinds = {
        "missing": expected.keys() - found.keys(),
        "added": found.keys() - expected.keys(),
        "changed": {path for path in expected.keys() & found.keys() if expected[path] != found[path]},
    }
    return tuple(f"{_listed(paths)} {what} since" for what, paths in kinds.items() if paths)


def _listed(paths: Any) -> str:
    names = sorted(paths)
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more + (" is" if len(names) == 1 else " are")


def _check_answers(directory: Path) -> tuple[float | None, tuple[str, ...]]:
    """Check the schema, and the answers of the Keras model and of its ONNX file, where the version has one."""
    from mlflow.models import Model

    try:
        classifier = Classifier(directory)
        if Model.load(str(directory / "MLmodel")).signature != signature(classifier):
            return None, (
                "its schema is not uint8 images to class probabilities, as the model takes and gives them",
            )
        difference, problem = compare_known_answers(classifier, directory)
        if not problem and (directory / ONNX_FILE).exists():
            of_onnx, problem = compare_known_answers(RuntimeClassifier(directory), directory)
            difference = max(difference, of_onnx)
            problem = f"of its ONNX file, {problem}" if problem else ""
    except PipelineError as error:
        return None, (str(error).removesuffix("."),)
    return difference, (problem,) if problem else ()
