#!/usr/bin/env bash
# Packages: onnxruntime 1.32.0, openvino 2026.4.1, onnx 1.23.2, numpy 2.4.6.
#
# Guess: an array that numpy holds in big-endian order is an array of the same numbers. A runtime converts it, or
# refuses it.
#
# Behaviour: ONNX Runtime takes it for little-endian. It compares the kind of number, not the order of its bytes, and
# answers about other numbers, without a word: twice 1.0 is 9.2e-41. OpenVINO answers right for the same file and array.
#
# For a pipeline like this: idx and FITS files hold numbers in this order. What `np.frombuffer(data, ">f4")` returns
# keeps it through slices, reshapes and an npy file. Give a session only what `astype(np.float32)` returned.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install -qq --disable-pip-version-check --no-compile \
    onnxruntime==1.32.0 openvino==2026.4.1 onnx==1.23.2 numpy==2.4.6
cat >"$scratch/ask.py" <<'PYTHON'
import sys
from importlib.metadata import version

import numpy as np
import onnxruntime
import openvino
from onnx import TensorProto, helper, save

float32 = TensorProto.FLOAT
graph = helper.make_graph(
    [helper.make_node("Mul", ["x", "two"], ["y"])],
    "double",
    [helper.make_tensor_value_info("x", float32, [None])],
    [helper.make_tensor_value_info("y", float32, [None])],
    [helper.make_tensor("two", float32, [1], [2.0])],
)
save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), sys.argv[1])
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
compiled = openvino.Core().compile_model(sys.argv[1], "CPU")
little = np.array([1, 2, 3], "<f4")
big = little.astype(">f4")
assert (little == big).all()
print(", ".join(f"{name} {version(name)}" for name in ("onnxruntime", "openvino", "numpy")))
right = {}
for order, array in (("little-endian", little), ("big-endian", big)):
    answers = {"ONNX Runtime": session.run(None, {"x": array})[0], "OpenVINO": compiled(array)[0]}
    for runtime, answer in answers.items():
        print(f"twice {array.tolist()}, {order}, by {runtime}: {answer.tolist()}")
        right[order, runtime] = bool((answer == 2 * little).all())
wrong = [asked for asked, is_right in right.items() if not is_right]
sys.exit(0 if wrong == [("big-endian", "ONNX Runtime")] else "the behaviour has changed")
PYTHON
"$scratch/venv/bin/python" -W ignore "$scratch/ask.py" "$scratch/double.onnx"
