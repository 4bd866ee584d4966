"""Directory of a registered model: the Keras model in MLflow's format, code for serving, and known answers."""

import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from components.common.data.picture import resized
from components.common.data.spec import DIGITS, MNIST_SPEC, ImageSpec
from components.common.errors import PipelineError
from components.common.model import served_model
from components.common.model.classifier import Classifier
from components.common.model.exchange import EXCHANGE, Exchange
from components.common.model.known_answers import FLOAT32_TOLERANCE, KNOWN_ANSWERS, save_known_answers
from components.common.model.reference import REFERENCE_FILE
from components.common.model.runtime import RuntimeClassifier
from components.common.model.samples import load_samples

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel

# Largest difference of a probability that another machine or another release of a library may cause, by data type.
TOLERANCE = {"float32": FLOAT32_TOLERANCE}
TOLERANCE_REDUCED = 2e-2


def package(candidate: Path, directory: Path, logged: "LoggedModel", run_id: str) -> None:
    """Write the candidate in the form that MLflow stores and serves.

    The directory has two of MLflow's flavors. `mlflow.keras.load_model` gives the Keras model.
    `mlflow.pyfunc.load_model` gives the compiled function of `components.common.model.served_model`, of which the
    directory holds a copy. `onnx/` has the model for programs without Keras. The metadata in `MLmodel` has the names of
    the classes, in the order of the probabilities, and the way to make an image of a picture. `reference.npz` has what
    `mnist-pipeline monitor` compares requests with.

    Args:
        candidate: Directory of the trained model, with its training.json and its sample images.
        directory: New directory to write.
        logged: MLflow's entry of the model.
        run_id: MLflow run that the model comes from.

    Raises:
        PipelineError: The candidate cannot be loaded, is not what its records say, its answers are no probabilities,
            or its ONNX file does not give the same answers.
    """
    import mlflow
    from mlflow.models import Model

    exchange = Exchange.load(candidate / EXCHANGE)
    if exchange.problem:
        raise PipelineError(exchange.problem)
    classifier, runtime = Classifier(candidate), RuntimeClassifier(candidate)
    images = sample_images(candidate, classifier.spec)
    _require_alike(classifier, runtime, images, exchange)
    description = Model(
        artifact_path=logged.artifact_location,
        model_uuid=logged.model_id,
        model_id=logged.model_id,
        run_id=run_id,
        metadata={"classes": list(classifier.spec.classes), "pictures": classifier.spec.pictures},
    )
    mlflow.keras.save_model(
        classifier.model,
        str(directory),
        mlflow_model=description,
        signature=signature(classifier),
        pip_requirements=requirements(),
    )
    source = Path(served_model.__file__)
    (directory / "code").mkdir()
    shutil.copyfile(source, directory / "code" / source.name)
    description.flavors["python_function"] |= {"loader_module": source.stem, "code": "code", "data": "data"}
    description.save(str(directory / "MLmodel"))
    shutil.copytree(candidate / EXCHANGE, directory / EXCHANGE)
    # A candidate that was kept by an earlier release has none.
    if (candidate / REFERENCE_FILE).exists():
        shutil.copyfile(candidate / REFERENCE_FILE, directory / REFERENCE_FILE)
    save_known_answers(classifier, runtime, images, directory / KNOWN_ANSWERS, _tolerance(classifier))


def _require_alike(
    classifier: Classifier, runtime: RuntimeClassifier, images: NDArray[np.uint8], exchange: Exchange
) -> None:
    """Refuse an ONNX file that is further from the model than it was on the validation split."""
    found = float(np.abs(runtime.probabilities(images) - classifier.probabilities(images)).max(initial=0))
    limit = max(exchange.difference_as_trained, TOLERANCE_REDUCED) + FLOAT32_TOLERANCE
    if found > limit:
        raise PipelineError(
            f"its ONNX file must give the model's answers within {limit:.2g} but differs by {found:.2g}: "
            "evaluate the model again."
        )


def _tolerance(classifier: Classifier) -> float:
    return max(TOLERANCE.get(layer.compute_dtype, TOLERANCE_REDUCED) for layer in classifier.model.layers)


def sample_images(candidate: Path, spec: ImageSpec) -> NDArray[np.uint8]:
    """Return the candidate's sample images, uint8 N x height x width x channels.

    A candidate of an evaluation that kept none gets ten that are made from scikit-learn's handwritten digits.
    """
    samples = load_samples(candidate)
    return _digits(spec) if samples is None else samples


def _digits(spec: ImageSpec) -> NDArray[np.uint8]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    first = [int(np.argmax(digits.target == label)) for label in range(len(DIGITS))]
    images = np.zeros((len(DIGITS), *MNIST_SPEC.shape), np.uint8)
    enlarged = np.kron(digits.images[first] / 16 * 255, np.ones((1, 3, 3)))
    images[:, 2:26, 2:26, 0] = enlarged.round().astype(np.uint8)
    return np.stack([resized(image, *spec.shape) for image in images])


def signature(classifier: Classifier) -> Any:
    """Return the schema that the model is served with: uint8 images as input, class probabilities as output."""
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    image = classifier.model.inputs[0].shape[1:]
    return ModelSignature(
        inputs=Schema([TensorSpec(np.dtype("uint8"), (-1, *image), served_model.INPUT)]),
        outputs=Schema([TensorSpec(np.dtype("float32"), (-1, len(classifier.spec.classes)))]),
    )


def requirements() -> list[str]:
    """Return the packages that a server of the model needs, with their versions."""
    return [f"{_tensorflow()}", f"keras=={version('keras')}", f"numpy=={version('numpy')}"]


def _tensorflow() -> str:
    for package_name in ("tensorflow-cpu", "tensorflow"):
        try:
            return f"{package_name}=={version(package_name)}"
        except PackageNotFoundError:
            continue
    raise PipelineError("TensorFlow must be installed to register a model but is not: install it.")
