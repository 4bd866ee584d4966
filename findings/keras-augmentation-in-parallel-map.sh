#!/usr/bin/env bash
# Packages: keras 3.15.1, tensorflow-cpu 2.21.0.
#
# Guess: with all seeds set, a Keras augmentation layer in `dataset.map(layer, num_parallel_calls=8, deterministic=True)`
# gives each image the same change in every process. `deterministic=True` is there for that.
#
# Behaviour: each process gives its images other changes. The layer draws from one state that its parallel calls advance
# in the order in which they happen to come; two of them may even take the same draw. `deterministic=True` keeps the order
# of the images, not that of the draws. Without `num_parallel_calls` all processes give the same.
#
# For a pipeline like this: a training that sets every seed cannot be repeated, and nothing says so. Augment where the
# training step runs, or draw by the number of the image (`tf.random.stateless_*`).
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
# Most of TensorFlow's modules are never imported: to compile all takes longer than the rest.
"$scratch/venv/bin/pip" install -qq --disable-pip-version-check --no-compile keras==3.15.1 tensorflow-cpu==2.21.0
cat >"$scratch/augment.py" <<'PYTHON'
import hashlib
import sys

import keras
import numpy as np
import tensorflow as tf

# The same image 256 times: what differs is the draw alone.
images = np.tile(np.random.default_rng(0).random((1, 28, 28, 1), np.float32), (256, 1, 1, 1))

for calls in (None, 8):
    keras.utils.set_random_seed(1)
    layer = keras.layers.RandomTranslation(0.3, 0.3, seed=1)
    data = tf.data.Dataset.from_tensor_slices(images).batch(1)
    made = data.map(layer, num_parallel_calls=calls, deterministic=True)
    digest = hashlib.sha256(b"".join(image.numpy().tobytes() for image in made)).hexdigest()[:12]
    print(f"process {sys.argv[1]}: {'parallel' if calls else 'sequential'}, images {digest}")
PYTHON
export TF_CPP_MIN_LOG_LEVEL=3
echo "keras 3.15.1, tensorflow-cpu 2.21.0"
distinct() {
    grep "$1" "$scratch/seen" | sort -u -t, -k2 | wc -l
}
# Parallel calls may still come in the order of the images.
for process in 1 2 3 4 5; do
    "$scratch/venv/bin/python" -W ignore "$scratch/augment.py" $process 2>"$scratch/log" >>"$scratch/seen" || { cat "$scratch/log"; exit 1; }
    [ "$(distinct parallel)" = 1 ] || break
done
cat "$scratch/seen"
if [ "$(distinct sequential)" != 1 ] || [ "$(distinct parallel)" = 1 ]; then
    echo "changed: the images of a parallel map no longer differ, or those of a sequential one do"
    exit 1
fi
