#!/usr/bin/env bash
# Packages: tensorflow-cpu 2.21.0, keras 3.15.1.
#
# Guess: where one compiled function calls another one twice, for two halves of a batch, the halves are computed side by
# side. With batch normalization in the model only the small updates of its moving averages come one after the other.
#
# Behaviour: with batch normalization the second call waits for the end of the whole first call. A function that assigns
# a variable anywhere gets its place in the order of such calls as one piece, and all of its products wait with it. Without
# batch normalization there is no order. Where the states go in and come out as values (Keras's `stateless_call`), there
# is none either.
#
# For a pipeline like this: a training that splits its batches over the cores uses them for little more than the parts of
# one half that happen to be independent, and nothing says so. Here it used 1.6 of 2 cores, and 1.9 with states as values.
# Look at the control inputs (`^name`) of the calls in the traced graph.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
# Most of TensorFlow's modules are never imported: to compile all takes longer than the rest.
"$scratch/venv/bin/pip" install -qq --disable-pip-version-check --no-compile keras==3.15.1 tensorflow-cpu==2.21.0
cat >"$scratch/halves.py" <<'PYTHON'
import keras
import tensorflow as tf


def waits(*, normalized, as_values=False):
    """Return what the second call of the gradients waits for."""
    model = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Conv2D(8, 3)])
    if normalized:
        model.add(keras.layers.BatchNormalization())
    model.add(keras.layers.GlobalAveragePooling2D())
    weights = [variable.value for variable in model.trainable_variables]

    @tf.function
    def gradients(images, states):
        with tf.GradientTape() as tape:
            if as_values:
                answers, states = model.stateless_call(weights, states, images, training=True)
            else:
                answers = model(images, training=True)
            loss = tf.reduce_mean(answers**2)
        return tape.gradient(loss, weights), states

    @tf.function
    def step(images):
        states = [tf.convert_to_tensor(each.value) for each in model.non_trainable_variables] if as_values else []
        first, states = gradients(images[:64], states)
        second, states = gradients(images[64:], states)
        return [(a + b) / 2 for a, b in zip(first, second, strict=True)], states

    graph = step.get_concrete_function(tf.TensorSpec((128, 28, 28, 1))).graph
    calls = [node for node in graph.as_graph_def().node if "PartitionedCall" in node.op]
    assert len(calls) == 2
    return [name for name in calls[1].input if name.startswith("^")]


print("without batch normalization the second call waits for", waits(normalized=False) or "nothing")
print("with it the second call waits for", waits(normalized=True) or "nothing")
print("with its states as values it waits for", waits(normalized=True, as_values=True) or "nothing")
PYTHON
export TF_CPP_MIN_LOG_LEVEL=3
echo "tensorflow-cpu 2.21.0, keras 3.15.1"
"$scratch/venv/bin/python" -W ignore "$scratch/halves.py" 2>"$scratch/log" >"$scratch/seen" || { cat "$scratch/log"; exit 1; }
cat "$scratch/seen"
if ! diff <(sed 's/.* waits for //' "$scratch/seen") - <<'EXPECTED'; then
nothing
['^StatefulPartitionedCall']
nothing
EXPECTED
    echo "changed: the calls wait for something else"
    exit 1
fi
