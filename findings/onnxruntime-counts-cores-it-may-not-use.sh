#!/usr/bin/env bash
# Packages: onnxruntime 1.32.0, onnx 1.23.2, numpy 2.4.6.
#
# Guess: a session with default options has as many threads as the process may use CPUs, by `sched_getaffinity`, as
# Python's `os.process_cpu_count` and OpenMP count them. A process that is bound to one CPU gets no pool of threads.
#
# Behaviour: it has one for each physical core of the machine, whatever the process may use. Bound to one CPU of a machine
# with two cores it starts a second thread, which shares the CPU with the first and waits for work by spinning.
#
# For a pipeline like this: a server that is given a few CPUs of a large node, by `docker run --cpuset-cpus` or
# Kubernetes' CPU manager, has a thread for each of the node's cores, which spin on its few. The number of threads must
# be set, to the CPUs that the process may use.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install -qq --disable-pip-version-check onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
cat >"$scratch/threads.py" <<'PYTHON'
import os
import sys

import onnxruntime
from onnx import TensorProto, helper

graph = helper.make_graph(
    [helper.make_node("Relu", ["x"], ["y"])],
    "graph",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 4])],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10).SerializeToString()
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(sys.argv[1])
before = len(os.listdir("/proc/self/task"))
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
more = len(os.listdir("/proc/self/task")) - before
allowed = len(os.sched_getaffinity(0))
asked = sys.argv[1] if options.intra_op_num_threads else "the default"
print(f"onnxruntime {onnxruntime.__version__}, {allowed} CPU allowed, threads set to {asked}: {more} more threads")
PYTHON
cores=$(lscpu --parse=core,socket | grep -v '^#' | sort -u | wc -l)
echo "the machine has $cores physical cores"
if [ "$cores" -lt 2 ]; then
    echo "not to be seen on a machine with one core"
    exit 1
fi
seen=$(for threads in 0 1; do "$scratch/venv/bin/python" "$scratch/threads.py" "$threads"; done)
echo "$seen"
changed() {
    echo "changed: $1"
    exit 1
}
grep -q "1 CPU allowed, threads set to the default: $((cores - 1)) more threads" <<<"$seen" ||
    changed "the default follows the CPUs that are allowed"
grep -q "1 CPU allowed, threads set to 1: 0 more threads" <<<"$seen" || changed "one thread is not one thread"
