#!/usr/bin/env bash
# Package: kfp 2.17.0 (the SDK's local runs).
#
# Guess: the value that a pipeline hands to a task reaches the task's function as it is, whatever a string says.
#
# Behaviour: under the SubprocessRunner each `python3` in the value of an argument is replaced by the path of the
# interpreter that runs the tasks. The path /data/python3-course/digits arrives as another, which does not exist, and a
# package name, a note or a line of shell arrives as nonsense. There is no warning. The runner replaces the word in the
# whole command of the task, which holds the arguments too; it spares only the function's source.
#
# For a pipeline like this: a directory of data is not found where its path has this word, and only on a laptop. Pass
# the command on as it was written where the runner's process is your own.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install -qq --disable-pip-version-check --no-compile kfp==2.17.0
cat >"$scratch/run.py" <<'PYTHON'
import sys
from importlib.metadata import version

from kfp import dsl, local


@dsl.component(install_kfp_package=False)
def echo(text: str) -> str:
    return text


local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=sys.argv[1])
sys.stderr.write(f"kfp {version('kfp')}\n")
for given in ("/data/python-course/digits", "/data/python3-course/digits"):
    expected = given.replace("python3", sys.executable)
    arrived = echo(text=given).output
    sys.stderr.write(f"given {given}, arrived {arrived.replace(sys.executable, 'INTERPRETER')}\n")
    if arrived != expected:
        sys.exit("changed: python3 in a value is no longer replaced by the interpreter")
PYTHON
cd "$scratch"
"$scratch/venv/bin/python" -W ignore "$scratch/run.py" "$scratch/root" >"$scratch/log" || { tail -n 20 "$scratch/log"; exit 1; }
