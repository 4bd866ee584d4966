"""Trained models in ONNX, the exchange format, for programs without TensorFlow."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.common.errors import PipelineError, first_line
from components.common.model.served_model import INPUT
from components.common.record import Record

if TYPE_CHECKING:
    from keras import Model

OUTPUT = "probabilities"
# Among the files of a candidate and of a registered version.
EXCHANGE = "onnx"
ONNX_FILE = Path(EXCHANGE, "model.onnx")
# tf2onnx 1.17 writes 11 to 18.
OPSET = 18
# Of Keras: number formats with fewer digits than float32.
REDUCED = ("mixed_bfloat16", "mixed_float16", "bfloat16", "float16")


class Exchange(Record):
    """The comparison of a model's ONNX file with the model, on the validation split.

    Attributes:
        problem: Why the file must not be registered; "" for none.
        images: Number of images that were answered in batches.
        singles: Number of images that were answered one at a time as well.
        difference: Largest difference between a probability and that of the Keras model in float32.
        difference_as_trained: The same for the Keras model as it is, which may calculate in bfloat16.
        changed_as_trained: Number of images whose class is not that of the Keras model as it is.
    """

    FILE = "exchange.json"

    problem: str
    images: int = 0
    singles: int = 0
    difference: float = 0.0
    difference_as_trained: float = 0.0
    changed_as_trained: int = 0

    @property
    def summary(self) -> str:
        """What was compared, for people; empty where there is a problem."""
        if self.problem:
            return ""
        stated = (
            f"on {self.images} validation images no probability differs by more than {self.difference:.1g} from the "
            "Keras model's in float32, and no class"
        )
        if self.difference_as_trained == self.difference:
            return stated
        return f"{stated}; from the Keras model as trained by {self.difference_as_trained:.1g}, and " + (
            f"{self.changed_as_trained} classes" if self.changed_as_trained else "no class"
        )


def float32_copy(model: "Model") -> "Model":
    """Return a new model with the same layers and weights, in which every layer calculates in float32.

    Layers that calculate in bfloat16 are converted without an error to files that no runtime opens.
    """
    from keras.saving import deserialize_keras_object, serialize_keras_object

    copy: Model = deserialize_keras_object(_in_float32(serialize_keras_object(model)))
    copy.set_weights(model.get_weights())
    return copy


def _in_float32(config: Any) -> Any:
    """Return a copy of a serialized model whose dtype policies are float32."""
    if isinstance(config, dict):
        if config.get("class_name") == "DTypePolicy" and config["config"]["name"] in REDUCED:
            return {**config, "config": {**config["config"], "name": "float32"}}
        return {
            key: "float32" if key == "dtype" and value in REDUCED else _in_float32(value)
            for key, value in config.items()
        }
    return [_in_float32(item) for item in config] if isinstance(config, list) else config


def write_onnx(model: "Model", path: Path) -> None:
    """Write a model as an ONNX file.

    Its input `image` takes uint8 images, N x height x width x channels, and its output `probabilities` gives float32, N
    x classes, for any N. What layers do in training only is left out.

    Args:
        model: A classifier of images in float32, as `float32_copy` returns it.
        path: File to write; its directory exists.

    Raises:
        PipelineError: The model cannot be converted, or ONNX Runtime does not open the file.
    """
    import onnxruntime
    import tensorflow as tf
    import tf2onnx

    def answer(image: Any) -> dict[str, Any]:
        return {OUTPUT: model(image, training=False)}

    signature = [tf.TensorSpec((None, *model.inputs[0].shape[1:]), tf.uint8, name=INPUT)]
    # It reports its progress, and each operation that it lacks, as warnings and errors.
    tf2onnx.logging.set_level(logging.CRITICAL)
    try:
        tf2onnx.convert.from_function(
            tf.function(answer, autograph=False),
            signature,
            opset=OPSET,
            custom_op_handlers={"Erfc": (_complement, [])},
            output_path=str(path),
        )
        # An operation that ONNX does not have is written without an error.
        onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    # tf2onnx, ONNX Runtime and the layers of a model raise errors without a common base class.
    except Exception as error:
        raise PipelineError(
            f"the model must be convertible to ONNX but is not ({first_line(error).removesuffix('.')}): "
            "build it from layers that tf2onnx converts."
        ) from error


def _complement(graph: Any, node: Any, name: str, args: object) -> None:
    """Write the complementary error function, which Keras's `gelu` uses and ONNX lacks, as 1 - erf(x)."""
    del args
    [x], [out] = node.input, node.output
    graph.remove_node(node.name)
    erf = graph.make_node("Erf", [x])
    one = graph.make_const(f"{name}_one", np.float32(1))
    graph.make_node("Sub", [one.output[0], erf.output[0]], outputs=[out])
