"""Verification of a registered version: its files, its schema and its answers."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from components.common.errors import PipelineError, of_outage
from components.common.model.classifier import Classifier
from components.common.model.exchange import ONNX_FILE
from components.common.model.known_answers import compare_known_answers
from components.common.model.runtime import RuntimeClassifier
from components.common.model.stored_version import fetch_version
from components.register.package import signature

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class Verification:
    """Result of the check of a downloaded version; the version is sound when `problems` is empty.

    Attributes:
        name: The registered model.
        version: Number of the version.
        directory: The downloaded files.
        files: Number of files that are as they were registered.
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


def verify(
    client: "MlflowClient", name: str, version: str, directory: Path, *, allow_unsigned: bool = False
) -> Verification:
    """Download the version into `directory`, new or empty, and check it.

    The model is loaded only if every file is as it was signed.

    Raises:
        MlflowException: MLflow does not know the version.
        UnavailableError: MLflow or its store does not answer.
        PipelineError: The version must be signed by a trusted key but is not.
    """
    fetched = fetch_version(client, name, version, directory, allow_unsigned=allow_unsigned)
    if fetched.problems:
        return Verification(name, version, directory, fetched.files, None, fetched.problems)
    difference, problems = _check_answers(directory)
    return Verification(name, version, directory, fetched.files, difference, problems)


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
            of_onnx, problem = compare_known_answers(RuntimeClassifier(directory), directory, in_float32=True)
            difference = max(difference, of_onnx)
            problem = f"of its ONNX file, {problem}" if problem else ""
    except PipelineError as error:
        if of_outage(error):
            raise
        return None, (str(error).removesuffix("."),)
    return difference, (problem,) if problem else ()
