#!/usr/bin/env bash
# Packages: keras 3.15.1, tensorflow-cpu 2.21.0, tf2onnx 1.17.0, onnx 1.23.2, onnxruntime 1.32.0.
#
# Guess: GELU is the activation of every transformer, and Erf is in ONNX since opset 9. A Keras model with it converts.
# If an operation had no counterpart, the converter would raise an error.
#
# Behaviour: the conversion returns as for any other model, and writes the file. The file holds the operation Erfc,
# which ONNX does not have: Keras calculates GELU by the complementary error function. ONNX Runtime refuses to open it.
# The converter has only logged a line. `approximate=True` converts to a file that opens.
#
# For a pipeline like this: a conversion that raised nothing is no evidence. A registered file must have been opened by
# its runtime, and have answered, in the step that wrote it. Else the first one to notice is the server that loads it.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
# Most of TensorFlow's modules are never imported: to compile all takes longer than the rest.
"$scratch/venv/bin/pip" install -qq --disable-pip-version-check --no-compile \
    keras==3.15.1 tensorflow-cpu==2.21.0 tf2onnx==1.17.0 onnx==1.23.2 onnxruntime==1.32.0
cat >"$scratch/convert.py" <<'PYTHON'
from importlib.metadata import version

import keras
import onnxruntime
import tensorflow as tf
import tf2onnx


def convert(kind):
    model = keras.Sequential(
        [
            keras.layers.Input((4,)),
            keras.layers.Dense(3),
            keras.layers.Activation(lambda x: keras.ops.gelu(x, approximate=kind == "approximate")),
        ]
    )
    signature = [tf.TensorSpec((None, 4), tf.float32, name="x")]
    made, _ = tf2onnx.convert.from_function(tf.function(lambda x: model(x)), signature, opset=18)
    operations = sorted({node.op_type for node in made.graph.node})
    try:
        onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
        opened = "opens"
    except Exception as error:
        opened = f"does not open ({type(error).__name__})"
    about = ", ".join(f"{name} {version(name)}" for name in ("keras", "tf2onnx", "onnxruntime"))
    print(f"{about}; gelu {kind}: converted, operations {' '.join(operations)}: {opened}")


convert("exact")
convert("approximate")
PYTHON
export TF_CPP_MIN_LOG_LEVEL=3
seen=$("$scratch/venv/bin/python" "$scratch/convert.py" 2>"$scratch/log") || { cat "$scratch/log"; exit 1; }
echo "$seen"
changed() {
    echo "changed: $1"
    exit 1
}
grep -q "gelu exact: converted, .*Erfc.*: does not open" <<<"$seen" || changed "the exact gelu opens"
grep -q "gelu approximate: converted, .*: opens" <<<"$seen" || changed "the approximate gelu does not open"
