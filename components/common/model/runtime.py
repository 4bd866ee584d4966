"""Class probabilities of a registered version by ONNX Runtime alone, without Keras, TensorFlow and MLflow."""

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from components.common.cores import cores
from components.common.data.spec import ImageSpec
from components.common.errors import PipelineError, first_line
from components.common.model.classifier import are_images, check_probabilities
from components.common.model.exchange import ONNX_FILE, OUTPUT
from components.common.model.lineage import stored_judgement
from components.common.model.onnx_file import check_onnx_file
from components.common.model.served_model import BATCH_VALUES, INPUT
from components.common.model.training_record import Training

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

# Images that one core answers at a time; the values of more images leave its cache.
CHUNK = 64


class RuntimeClassifier:
    """The ONNX file of a registered version or of a candidate, for any number of images; several threads may ask it.

    Every image is answered by one core. One image has no other to wait for, and chunks of many go to all cores.

    Attributes:
        path: The file.
        spec: Description of the images, as the version's record has it.
        reject_below: Top probability below which an answer should be rejected; None for a candidate.

    Args:
        directory: The files of the version or the candidate.

    Raises:
        PipelineError: The directory holds no such file or no record of it, the file does not open or is of other
            operators than ONNX's own, or its record
            describes another model.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / ONNX_FILE
        judgement = stored_judgement(directory)
        training = judgement.training if judgement else Training.load(directory)
        self.spec = training.dataset.spec
        self.reject_below = judgement.reject_below if judgement else None
        self._session = _opened(self.path)
        self._shape = _checked_shape(self._session, self.spec, self.path)
        self._chunk = max(1, min(CHUNK, BATCH_VALUES // math.prod(self._shape)))
        self._pool = ThreadPoolExecutor(cores(), "answers")

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the class probabilities of images.

        Args:
            images: uint8, N x height x width x channels; grey ones may lack the last axis. They may be memory-mapped.

        Returns:
            Probabilities, float32, N x classes; each row sums to 1.

        Raises:
            PipelineError: The model does not take such images, or does not return probabilities.
        """
        if images.dtype != np.uint8 or not are_images(images, self.spec):
            raise PipelineError(
                f"{self.path} must be given uint8 images N x {self.spec.size} but got {images.shape} of "
                f"{images.dtype}: convert them, or choose a model for such images."
            )
        taken = images.reshape(len(images), *self._shape)
        chunks = [taken[start : start + self._chunk] for start in range(0, max(1, len(taken)), self._chunk)]
        answers = (
            [self._answer(chunks[0])] if len(chunks) == 1 else list(self._pool.map(self._answer, chunks))
        )
        probabilities = np.concatenate(answers)
        check_probabilities(probabilities, (len(images), len(self.spec.classes)), self.path)
        return probabilities

    def _answer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        answer: NDArray[np.float32] = self._session.run([OUTPUT], {INPUT: images})[0]
        return answer


def _opened(path: Path) -> "InferenceSession":
    import onnxruntime

    if not path.exists():
        raise PipelineError(
            f"{path} must exist but does not: name the directory of a version that was registered with an ONNX file."
        )
    content = path.read_bytes()
    check_onnx_file(content, path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # a failure is raised; there is no need to log it as well
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    # ONNX Runtime's errors have no common base class but this.
    except Exception as error:
        reason = first_line(error).removesuffix(".")
        raise PipelineError(
            f"{path} must be a readable ONNX model but is not ({reason}): restore it or register it again."
        ) from error


def _checked_shape(session: "InferenceSession", spec: ImageSpec, path: Path) -> tuple[int, ...]:
    """Return the shape of one image as the model takes it; one may lack the axis of a single channel."""
    taken = {given.name: tuple(given.shape[1:]) for given in session.get_inputs()}
    returned = {given.name: tuple(given.shape[1:]) for given in session.get_outputs()}
    shapes = {spec.shape, spec.shape[:2]} if spec.channels == 1 else {spec.shape}
    if [*taken] != [INPUT] or taken[INPUT] not in shapes or returned != {OUTPUT: (len(spec.classes),)}:
        raise PipelineError(
            f"{path} must be the model of its record, of images {spec.size} in {len(spec.classes)} classes, but takes "
            f"{taken} and returns {returned}: restore it or register it again."
        )
    return taken[INPUT]
