"""The ONNX file beside a candidate, and its comparison with the Keras model."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.common.errors import PipelineError, of_outage
from components.common.model.classifier import Classifier
from components.common.model.exchange import EXCHANGE, ONNX_FILE, Exchange, float32_copy, write_onnx
from components.common.model.runtime import RuntimeClassifier
from components.common.model.served_model import ServedModel

# A runtime may treat one image in another way than a batch.
SINGLES = 200


def write_exchange(candidate: Path, classifier: Classifier, images: NDArray[np.uint8]) -> Exchange:
    """Write the classifier as ONNX beside its records, and the comparison of the two.

    A problem is written down and not raised: the evaluation is worth its report, and the registration is refused.

    Args:
        candidate: Directory with the record of the training.
        classifier: The candidate, calibrated.
        images: The validation split's, uint8 N x height x width x channels.
    """
    (candidate / EXCHANGE).mkdir()
    try:
        copy = float32_copy(classifier.model)
        write_onnx(copy, candidate / ONNX_FILE)
        exchange = _compared(RuntimeClassifier(candidate), classifier, ServedModel(copy), images)
    except PipelineError as error:
        if of_outage(error):
            raise
        exchange = Exchange(problem=str(error))
    exchange.save(candidate / EXCHANGE)
    return exchange


def _compared(
    runtime: RuntimeClassifier, classifier: Classifier, in_float32: ServedModel, images: NDArray[np.uint8]
) -> Exchange:
    found, expected = runtime.probabilities(images), in_float32.predict(classifier.inputs(images))
    single = [
        runtime.probabilities(images[number : number + 1]) for number in range(min(SINGLES, len(images)))
    ]
    singles = np.concatenate(single)
    as_trained = classifier.probabilities(images)
    changed = _changed(found, expected) + _changed(singles, expected[: len(singles)])
    return Exchange(
        problem=f"its ONNX file must give every image the Keras model's class but does not for {changed}: "
        "build the model from layers that tf2onnx converts without a loss."
        if changed
        else "",
        images=len(images),
        singles=len(singles),
        difference=max(_difference(found, expected), _difference(singles, expected[: len(singles)])),
        difference_as_trained=_difference(found, as_trained),
        changed_as_trained=_changed(found, as_trained),
    )


def _difference(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    return float(np.abs(found - expected).max(initial=0))


def _changed(found: NDArray[np.float32], expected: NDArray[np.float32]) -> int:
    return int((found.argmax(axis=1) != expected.argmax(axis=1)).sum())
