#!/usr/bin/env bash
# Package: kfp 2.17.0 (the SDK's compiler).
#
# Guess: an option of a task, task.set_cpu_request("1"), notes a value. It takes microseconds, like
# task.set_display_name("name"), whatever else the process has imported and wherever the pipeline is defined.
#
# Behaviour: options of containers first ask inspect.stack() for the name of one calling function, for the words of an
# error that is not raised. inspect.stack() looks for the source and the module of every frame on the stack. For a frame
# without a file, such as the import system's own, it goes through all modules of the process, each time. A pipeline is
# usually defined by a decorator in a module that is imported, below several such frames. So an option takes
# milliseconds there, more with each package that was imported before, and more the deeper the import.
#
# For a pipeline like this: 76 options took half a second of every command that runs or compiles the pipeline, and ten
# seconds in a process of tests that has imported TensorFlow and MLflow. The functions of its pipelines run with a
# stack() that gives two names and looks at no source.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install -qq --disable-pip-version-check kfp==2.17.0
cat >"$scratch/defined.py" <<'PYTHON'
import time

from kfp import dsl

OPTIONS = 40
seconds = {}


def work() -> str:
    return ""


step = dsl.component(work, base_image="python:3.11")


@dsl.pipeline(name="options")
def pipeline() -> None:
    task = step()
    for name, value in (("set_display_name", "work"), ("set_cpu_request", "1")):
        started = time.perf_counter()
        for _ in range(OPTIONS):
            getattr(task, name)(value)
        seconds[name] = (time.perf_counter() - started) / OPTIONS
PYTHON
echo "import defined" >"$scratch/outer.py"
cat >"$scratch/measure.py" <<'PYTHON'
import sys
from importlib.metadata import version

import outer

seconds = outer.defined.seconds
ratio = seconds["set_cpu_request"] / seconds["set_display_name"]
print("kfp", version("kfp"), "with", len(sys.modules), "modules")
print(", ".join(f"{name}: {1e6 * value:.1f} microseconds" for name, value in seconds.items()), f"({ratio:.0f} times)")
sys.exit(0 if ratio > 50 else "the behaviour has changed")
PYTHON
cd "$scratch"
venv/bin/python -W ignore measure.py
