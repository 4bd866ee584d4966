#!/usr/bin/env bash
# Package: keras 3.15.1, on tensorflow-cpu 2.21.0.
#
# Guess: a `Sequential` model that begins with an `Input` is built as it grows: `add` calls the new layer on the output of
# the last one. So to add n layers costs n calls of layers, as it does to hand over a list of them.
#
# Behaviour: each `add` builds the model again from its first layer. n layers cost n(n+1)/2 calls, a list of them n.
#
# For a pipeline like this: a search builds a model for each trial. Of 18 layers that were added one by one, the building
# took twice as long as that of a list, a tenth of a second each time. Collect the layers in a list.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
# Most of TensorFlow's modules are never imported: to compile all takes longer than the rest.
"$scratch/venv/bin/pip" install -qq --disable-pip-version-check --no-compile keras==3.15.1 tensorflow-cpu==2.21.0
cat >"$scratch/add.py" <<'PYTHON'
import keras

called = 0


class Counted(keras.layers.Dense):
    def __call__(self, inputs, **options):
        global called
        called += 1
        return super().__call__(inputs, **options)


for count in (4, 20):
    called = 0
    keras.Sequential([keras.Input((8,)), *(Counted(8) for _ in range(count))])
    listed, called = called, 0
    model = keras.Sequential([keras.Input((8,))])
    for _ in range(count):
        model.add(Counted(8))
    print(f"{count} layers: {listed} calls for a list, {called} when they are added")
PYTHON
export TF_CPP_MIN_LOG_LEVEL=3
echo "keras 3.15.1"
"$scratch/venv/bin/python" -W ignore "$scratch/add.py" 2>"$scratch/log" >"$scratch/seen" || { cat "$scratch/log"; exit 1; }
cat "$scratch/seen"
if ! diff "$scratch/seen" - <<'EXPECTED'; then
4 layers: 4 calls for a list, 10 when they are added
20 layers: 20 calls for a list, 210 when they are added
EXPECTED
    echo "changed: the layers are called another number of times"
    exit 1
fi
