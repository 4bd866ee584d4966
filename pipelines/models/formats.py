"""Formats that a model can be exported to: how each is written, and how its own runtime opens it."""

import importlib
import logging
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import packages_distributions, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from components.common.errors import PipelineError, first_line
from components.common.model.exchange import OUTPUT, float32_copy, write_onnx
from components.common.model.served_model import INPUT, ServedModel

if TYPE_CHECKING:
    from keras import Model

# uint8 images, N x height x width x channels, to probabilities, float32 N x classes.
Answers = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
# int8 weights are symmetric about 0.
LARGEST_INT8 = 127


@dataclass(frozen=True)
class Format:
    """A format of exported models.

    Attributes:
        path: Name of the file, or of the directory, in an export.
        runtime: Module of the runtime.
        write: Write a float32 model to a path, with int8 weights where the last argument says so.
        open: Open what was written.
    """

    path: str
    runtime: str
    write: Callable[["Model", Path, bool], None]
    open: Callable[[Path], Answers]

    def runtime_version(self) -> str:
        """Import the runtime, and return its version.

        Raises:
            PipelineError: It is not installed.
        """
        try:
            importlib.import_module(self.runtime)
        except ImportError as error:
            raise PipelineError(
                f"the Python package {self.runtime} must be installed to check the export but is not "
                f"({first_line(error)}): install mnist-pipeline with its extra `export`."
            ) from error
        return version(packages_distributions()[self.runtime][0])


def _write_onnx(model: "Model", path: Path, int8: bool) -> None:
    if not int8:
        write_onnx(model, path)
        return
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with TemporaryDirectory() as scratch:
        whole = Path(scratch, "float32.onnx")
        write_onnx(model, whole)
        # It advises a preparation of the file that these models do not need.
        logging.disable(logging.WARNING)
        try:
            # Products of two unsigned bytes do not overflow on processors without VNNI; others may.
            quantize_dynamic(whole, path, weight_type=QuantType.QUInt8)
        finally:
            logging.disable(logging.NOTSET)


def _open_onnx(path: Path) -> Answers:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda images: session.run([OUTPUT], {INPUT: images})[0]


def _write_litert(model: "Model", path: Path, int8: bool) -> None:
    import tensorflow as tf

    with TemporaryDirectory() as scratch:
        _save_signature(_without_roll(model), Path(scratch))
        converter = tf.lite.TFLiteConverter.from_saved_model(scratch)
        if int8:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        try:
            path.write_bytes(converter.convert())
        # The converter's error has no public name.
        except Exception as error:
            if lacking := re.search(r"^TF Select ops: (.+)$", str(error), re.MULTILINE):
                raise PipelineError(
                    f"the model must be made of operations that LiteRT has but uses {lacking[1]}: choose another "
                    "format."
                ) from error
            raise


def _without_roll(model: "Model") -> "Model":
    """Return the model with views that are moved by slices: LiteRT has no kernel of `roll`."""
    from keras import ops
    from keras.models import clone_model

    def moved(operation: Any, *inputs: Any, **options: Any) -> Any:
        if not _moves_views(operation):
            return operation(*inputs, **options)
        (image,) = inputs
        for axis, shift in zip(operation.axis, operation.shift, strict=True):
            if shift:
                size = image.shape[axis]
                before = (slice(None),) * axis
                image = ops.concatenate(
                    [image[*before, size - shift % size :], image[*before, : size - shift % size]], axis
                )
        return image

    if not any(map(_moves_views, getattr(model, "operations", ()))):
        return model
    copy: Model = clone_model(model, call_function=moved)
    copy.set_weights(model.get_weights())
    return copy


def _moves_views(operation: Any) -> bool:
    return type(operation).__name__ == "Roll" and isinstance(operation.axis, (list, tuple))


def _open_litert(path: Path) -> Answers:
    from ai_edge_litert.interpreter import Interpreter

    answer = Interpreter(model_path=str(path)).get_signature_runner()
    return lambda images: answer(**{INPUT: images})[OUTPUT]


def _write_openvino(model: "Model", path: Path, int8: bool) -> None:
    import openvino

    with TemporaryDirectory() as scratch:
        whole = Path(scratch, "float32.onnx")
        write_onnx(model, whole)
        converted = openvino.convert_model(whole)
    if int8:
        _compress(converted)
    path.mkdir()
    openvino.save_model(converted, path / "model.xml", compress_to_fp16=False)


def _compress(model: Any) -> None:
    """Store the weights as int8 with a scale for each output; the runtime multiplies them out.

    Keras's quantized layers would be converted without an error to a model that answers at random.
    """
    from openvino import opset13

    for node in model.get_ops():
        kind = node.get_type_name()
        if (
            kind not in {"Convolution", "MatMul"}
            or node.input_value(1).get_node().get_type_name() != "Constant"
        ):
            continue
        weights = node.input_value(1).get_node().data
        outputs = 1 if kind == "MatMul" and not node.get_attributes()["transpose_b"] else 0
        others = tuple(axis for axis in range(weights.ndim) if axis != outputs)
        scale = np.abs(weights).max(axis=others, keepdims=True) / np.float32(LARGEST_INT8)
        rounded = np.round(weights / np.where(scale == 0, 1, scale)).astype(np.int8)
        product = opset13.multiply(opset13.convert(opset13.constant(rounded), "f32"), opset13.constant(scale))
        node.input(1).replace_source_output(product.output(0))


def _open_openvino(path: Path) -> Answers:
    import openvino

    # By default it calculates in bfloat16 where the processor has it.
    precision = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(path / "model.xml", "CPU", precision)
    # The output lies in memory that the next call writes to.
    return lambda images: compiled(images)[0].copy()


def _write_saved_model(model: "Model", path: Path, int8: bool) -> None:
    _save_signature(_quantized(model) if int8 else model, path)


def _save_signature(model: "Model", path: Path) -> None:
    """Write a SavedModel with the signature `serving_default` from the images to a dictionary of the probabilities."""
    import tensorflow as tf
    from keras.export import ExportArchive

    def answer(image: Any) -> dict[str, Any]:
        # Without the argument, layers that act in training only would stay on.
        return {OUTPUT: model(image, training=False)}

    archive = ExportArchive()
    archive.track(model)
    shape = (None, *model.inputs[0].shape[1:])
    archive.add_endpoint("serve", answer, [tf.TensorSpec(shape, tf.uint8, name=INPUT)])
    archive.write_out(str(path), verbose=False)


def _open_saved_model(path: Path) -> Answers:
    import tensorflow as tf

    # A signature alone would not keep its variables.
    loaded = tf.saved_model.load(str(path))
    return lambda images: loaded.signatures["serving_default"](tf.constant(images))[OUTPUT].numpy()


def _write_keras(model: "Model", path: Path, int8: bool) -> None:
    (_quantized(model) if int8 else model).save(path)


def _quantized(model: "Model") -> "Model":
    """Return a copy whose dense layers are quantized; Keras has no int8 convolutions."""
    copy = float32_copy(model)
    with warnings.catch_warnings():
        # Each layer of another kind warns that it stays as it is.
        warnings.simplefilter("ignore")
        copy.quantize("int8")
    return copy


def _open_keras(path: Path) -> Answers:
    from keras.saving import load_model

    return ServedModel(load_model(path, compile=False, safe_mode=True)).predict


FORMATS = {
    "onnx": Format("model.onnx", "onnxruntime", _write_onnx, _open_onnx),
    "litert": Format("model.tflite", "ai_edge_litert", _write_litert, _open_litert),
    "openvino": Format("model", "openvino", _write_openvino, _open_openvino),
    "saved_model": Format("model", "tensorflow", _write_saved_model, _open_saved_model),
    "keras": Format("model.keras", "keras", _write_keras, _open_keras),
}
