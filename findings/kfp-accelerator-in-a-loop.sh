#!/usr/bin/env bash
# Package: kfp 2.17.0 (the SDK's compiler).
#
# Guess: a task inside dsl.ParallelFor or dsl.If whose accelerator count is a parameter of the pipeline,
# task.set_accelerator_limit(count), compiles like a task outside of them. The compiler hands the parameter on from the
# pipeline through the loop or condition to the task, as it does for the task's arguments.
#
# Behaviour: it hands on only what a task takes as an argument, not what only its pod is described by. The task reads
# the parameter as an input of the loop's (or condition's) component, which declares no such input and is given none.
# The package is written without a warning. A condition is compiled right by luck where another task in it takes the
# same parameter as an argument.
#
# For a pipeline like this: the search runs in a loop over workers. Its GPU count and resource name have to be arguments
# of its component as well, though its code does not use them. A test follows every input of every task of the compiled
# package up to the pipeline.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install -qq --disable-pip-version-check kfp==2.17.0
cat >"$scratch/compile.py" <<'PYTHON'
import sys
from importlib.metadata import version

import yaml
from kfp import compiler, dsl


@dsl.component
def work(item: str) -> str:
    return item


@dsl.pipeline(name="loop-accelerator")
def pipeline(count: str = "1", go: str = "yes") -> None:
    with dsl.ParallelFor(["a", "b"]) as item:
        work(item=item).set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(count)
    with dsl.If(go == "yes"):
        work(item="c").set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(count)


compiler.Compiler().compile(pipeline, sys.argv[1])
spec = next(yaml.safe_load_all(open(sys.argv[1])))
print("kfp", version("kfp"))
missing = {}
for name in ("comp-for-loop-2", "comp-condition-3"):
    component = next(part for key, part in spec["components"].items() if key.startswith(name[:-2]))
    declared = set(component["inputDefinitions"]["parameters"])
    (task,) = component["dag"]["tasks"].values()
    read = {
        value["componentInputParameter"]
        for value in task["inputs"]["parameters"].values()
        if "componentInputParameter" in value
    }
    missing[name[:-2]] = sorted(read - declared)
    print(f"{name[:-2]}: its task reads {sorted(read)}, it declares {sorted(declared)}, missing {missing[name[:-2]]}")
expected = {"comp-for-loop": ["pipelinechannel--count"], "comp-condition": ["pipelinechannel--count"]}
sys.exit(0 if missing == expected else "the behaviour has changed")
PYTHON
"$scratch/venv/bin/python" -W ignore "$scratch/compile.py" "$scratch/pipeline.yaml"
