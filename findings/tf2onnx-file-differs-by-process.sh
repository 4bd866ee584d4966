#!/usr/bin/env bash
# Packages: tf2onnx 1.17.0, keras 3.15.1, tensorflow-cpu 2.21.0, onnx 1.23.2, onnxruntime 1.32.0.
#
# Guess: the same weights, code, versions and machine give the same ONNX file, byte for byte, in each process that
# converts once. If anything varied, it would be the order of Python's sets, which PYTHONHASHSEED fixes.
#
# Behaviour: the file differs from process to process, with PYTHONHASHSEED=0 too. The converter numbers new nodes and
# merges equal constants in an order that depends on addresses in memory. The nodes have other names and another order;
# the answers are equal, bit for bit.
#
# For a pipeline like this: that a model was reproduced is shown by the weights or by answers, not by the digest of the
# ONNX file. Whoever converts again on another machine signs another file; convert once and hand that file on.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
# Most of TensorFlow's modules are never imported: to compile all takes longer than the rest.
"$scratch/venv/bin/pip" install -qq --disable-pip-version-check --no-compile \
    keras==3.15.1 tensorflow-cpu==2.21.0 tf2onnx==1.17.0 onnx==1.23.2 onnxruntime==1.32.0
cat >"$scratch/convert.py" <<'PYTHON'
import hashlib

import keras
import numpy as np
import onnxruntime
import tensorflow as tf
import tf2onnx


def digest(content):
    return hashlib.sha256(content).hexdigest()[:12]


keras.utils.set_random_seed(0)
model = keras.Sequential(
    [
        keras.layers.Input((9, 10, 1)),
        keras.layers.Conv2D(4, 4, padding="same"),
        keras.layers.MaxPooling2D(),
        keras.layers.Flatten(),
        keras.layers.Dense(5),
    ]
)
signature = [tf.TensorSpec((None, 9, 10, 1), tf.float32, name="x")]
made, _ = tf2onnx.convert.from_function(tf.function(lambda x: model(x)), signature, opset=18)
made = made.SerializeToString()
images = np.random.default_rng(0).random((8, 9, 10, 1), np.float32)
answers = onnxruntime.InferenceSession(made, providers=["CPUExecutionProvider"]).run(None, {"x": images})[0]
weights = b"".join(array.tobytes() for array in model.get_weights())
print(f"weights {digest(weights)}, file {digest(made)}, answers {digest(answers.tobytes())}")
PYTHON
export TF_CPP_MIN_LOG_LEVEL=3 PYTHONHASHSEED=0
echo "tf2onnx 1.17.0, keras 3.15.1, tensorflow-cpu 2.21.0"
distinct() {
    sed "s/.*$1 \([0-9a-f]*\).*/\1/" "$scratch/seen" | sort -u | wc -l
}
# Two processes may come to the same file.
for _ in 1 2 3 4 5 6 7 8; do
    "$scratch/venv/bin/python" -W ignore "$scratch/convert.py" 2>"$scratch/log" >>"$scratch/seen" || { cat "$scratch/log"; exit 1; }
    [ "$(distinct file)" = 1 ] || break
done
cat "$scratch/seen"
if [ "$(distinct weights)" != 1 ] || [ "$(distinct answers)" != 1 ] || [ "$(distinct file)" = 1 ]; then
    echo "changed: the file no longer differs, or weights or answers do"
    exit 1
fi
