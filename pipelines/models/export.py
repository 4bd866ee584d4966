"""Export of a registered version to other formats, checked by the runtime of each."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from components.common.data.dataset import open_split
from components.common.errors import PipelineError, first_line
from components.common.model.classifier import Classifier, model_file
from components.common.model.exchange import float32_copy
from components.common.model.known_answers import load_known_answers
from components.common.model.served_model import BATCH_SIZE, ServedModel
from components.common.record import Record
from components.common.storage.files import file_digests, sha256_file, written_directory
from components.register.verify import verify
from pipelines.models.formats import FORMATS, Answers, Format
from pipelines.models.reproduce import Recorded, development_data

if TYPE_CHECKING:
    from keras import Model
    from mlflow import MlflowClient

# Images, and the labels or the answers that belong to them.
Images = NDArray[np.uint8]
Labelled = tuple[Images, NDArray[Any]]
# Rounding in another order causes some 1e-6.
LARGEST_DIFFERENCE = 1e-4
# Share of the answers that int8 may change.
MOST_CHANGED = 0.01
MOST_IMAGES = 10_000


class Export(Record):
    """What was exported, and how its answers compare.

    Attributes:
        model: The registered model.
        version: Number of its version.
        model_digest: SHA-256 of the version's Keras model.
        format: A name of `FORMATS`.
        int8: Whether weights are stored in 8 bits.
        files: SHA-256 of every file, by relative path.
        bytes: Size of all of them.
        runtime: Package that the answers below come from.
        runtime_version: Its version.
        image: Height, width and channels of the uint8 images that it takes.
        classes: Names of the classes, in the order of the probabilities.
        pictures: How a picture becomes such an image, as `ImageSpec.pictures` says it.
        stored_difference: Largest difference of a probability from the answers stored with the version.
        difference: The same from the version in float32 by Keras, on the stored and the validation images.
        images: Number of validation images; 0 where the data is gone.
        missing: Reason why there are none; empty where there are.
        changed: Number of these with another most probable class than by Keras.
        accuracy: Accuracy on these; None where there are none.
        keras_accuracy: The same by Keras.
    """

    FILE: ClassVar[str] = "export.json"

    model: str
    version: str
    model_digest: str
    format: str
    int8: bool
    files: dict[str, str]
    bytes: int
    runtime: str
    runtime_version: str
    image: list[int]
    classes: list[str]
    pictures: str
    stored_difference: float
    difference: float
    missing: str
    images: int = 0
    changed: int = 0
    accuracy: float | None = None
    keras_accuracy: float | None = None

    def lines(self) -> list[str]:
        """Return what the files hold and how their answers compare, as lines of text."""
        found = [
            f"{self.bytes} bytes, opened with {self.runtime} {self.runtime_version}",
            f"largest difference of a probability: {self.difference:.1g} from the model in float32, "
            f"{self.stored_difference:.1g} from the answers stored with the version",
        ]
        if self.missing:
            found.append(f"not compared on validation images: {self.missing}")
        else:
            found.append(
                f"on {self.images} validation images: accuracy {self.accuracy:.4f} (in float32 "
                f"{self.keras_accuracy:.4f}), {self.changed} changed answers"
            )
        return found


def export_version(
    client: "MlflowClient",
    name: str,
    version: str,
    kind: str,
    target: Path,
    *,
    int8: bool,
    allow_unsigned: bool = False,
) -> Export:
    """Write a version in another format, open it, and compare its answers; nothing is left of what differs.

    Args:
        client: Client of the registry.
        name: The registered model.
        version: Number of its version.
        kind: Name of the format.
        target: New or empty directory for the files and the record.
        int8: Whether to store weights in 8 bits.
        allow_unsigned: Whether the version may be without a signature by a trusted key.

    Raises:
        PipelineError: The runtime is not installed; the version is not what was registered, or cannot be converted,
            or answers differently afterwards; the data that int8 is judged on is gone; or `target` holds something.
    """
    chosen = FORMATS[kind]
    runtime_version = chosen.runtime_version()
    with TemporaryDirectory() as scratch, written_directory(target) as directory:
        sound = verify(client, name, version, Path(scratch, "version"), allow_unsigned=allow_unsigned)
        sound.require()
        classifier = Classifier(sound.directory)
        model = float32_copy(classifier.model)
        recorded = Recorded.of(client, name, version, allow_unsigned=allow_unsigned)
        validation, missing = _validation(recorded, Path(scratch, "data"), classifier.inputs, int8)
        answers = _converted(chosen, model, directory / chosen.path, int8)
        images, expected, tolerance = load_known_answers(sound.directory, in_float32=True)
        stored = classifier.inputs(images), expected
        export = Export(
            model=name,
            version=version,
            model_digest=sha256_file(model_file(sound.directory)),
            format=kind,
            int8=int8,
            **_written(directory),
            runtime=chosen.runtime,
            runtime_version=runtime_version,
            image=list(model.inputs[0].shape[1:]),
            classes=list(classifier.spec.classes),
            pictures=classifier.spec.pictures,
            missing=missing,
            **_compared(answers, ServedModel(model).predict, stored, validation),
        )
        _require_alike(export, tolerance)
        export.save(directory)
    return export


def _written(directory: Path) -> dict[str, Any]:
    files = file_digests(directory)
    return {"files": files, "bytes": sum((directory / path).stat().st_size for path in files)}


def _converted(chosen: Format, model: "Model", path: Path, int8: bool) -> Answers:
    try:
        chosen.write(model, path, int8)
        return chosen.open(path)
    except PipelineError:
        raise
    # TensorFlow, the converters and the runtimes raise errors without a common base class.
    except Exception as error:
        raise PipelineError(
            f"the model must be convertible to {path.name} for {chosen.runtime} but is not "
            f"({first_line(error).removesuffix('.')}): choose another format."
        ) from error


def _validation(
    recorded: Recorded, scratch: Path, inputs: Callable[[Images], Images], int8: bool
) -> tuple[Labelled | None, str]:
    """Return validation images with their labels; or None where the data is gone, and the reason."""
    scratch.mkdir()
    try:
        split = open_split(development_data(recorded, scratch), "validation")
    except PipelineError as error:
        if int8:
            raise
        return None, str(error)
    return (inputs(split.images[:MOST_IMAGES]), split.labels[:MOST_IMAGES]), ""


def _compared(
    answers: Answers, in_float32: Answers, stored: Labelled, validation: Labelled | None
) -> dict[str, Any]:
    """Ask for the stored images one by one, for the others in batches; return the fields of the record."""
    images, known = stored
    given = np.concatenate([answers(images[at : at + 1]) for at in range(len(images))])
    differences = [np.abs(given - in_float32(images)).max()]
    found: dict[str, Any] = {"stored_difference": float(np.abs(given - known).max())}
    if validation:
        images, labels = validation
        starts = range(0, len(images), BATCH_SIZE)
        given = np.concatenate([answers(np.array(images[at : at + BATCH_SIZE])) for at in starts])
        expected = in_float32(images)
        differences.append(np.abs(given - expected).max())
        found |= {
            "images": len(images),
            "changed": int((given.argmax(axis=1) != expected.argmax(axis=1)).sum()),
            "accuracy": float(np.mean(given.argmax(axis=1) == labels)),
            "keras_accuracy": float(np.mean(expected.argmax(axis=1) == labels)),
        }
    # A difference from NaN is NaN, which no limit allows.
    return {**found, "difference": float(np.max(differences))}


def _require_alike(export: Export, tolerance: float) -> None:
    """Check the differences.

    Raises:
        PipelineError: One is beyond its limit.
    """
    most = int(MOST_CHANGED * export.images)
    if export.int8:
        alike, rule = export.changed <= most, f"at most {most} of {export.images} other answers"
        found = f"{export.changed} (accuracy {export.accuracy} instead of {export.keras_accuracy})"
    else:
        alike = export.difference <= LARGEST_DIFFERENCE and export.stored_difference <= tolerance
        rule = f"probabilities within {LARGEST_DIFFERENCE:g} of Keras and {tolerance:g} of those stored"
        found = f"differences of {export.difference:.2g} and {export.stored_difference:.2g}"
    if not alike:
        raise PipelineError(
            f"{export.model} version {export.version} as {export.format} must give {rule} but has {found}: "
            "choose another format."
        )
