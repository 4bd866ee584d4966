#!/usr/bin/env bash
# Package: kfp 2.17.0 (the SDK's local runs).
#
# Guess: what a local run does to the process that starts it ends with the run. kfp.local indents a task's output in a
# context manager, which puts back what was there before.
#
# Behaviour: it replaces `builtins.print` for the whole process. Of two tasks of a dsl.ParallelFor, which run at once,
# the second saves the first one's replacement. If the first to begin is the first to end, the second puts that
# replacement back, after the first has put back Python's own. The run succeeds, and from then on every print of the
# process begins with four spaces. Each such loop can add four. Which of two tasks begins first is up to the threads,
# so the script repeats the pipeline until it has been seen.
#
# For a pipeline like this: a line that a program reads, such as one of JSON, is changed by a library that ran before.
# Put `builtins.print` back after a local run, or write to `sys.stdout`.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install -qq --disable-pip-version-check --no-compile kfp==2.17.0
cat >"$scratch/run.py" <<'PYTHON'
import builtins
import sys
from importlib.metadata import version
from pathlib import Path

from kfp import dsl, local

scratch = Path(sys.argv[1])
own = builtins.print


@dsl.component(install_kfp_package=False)
def wait(item: str, directory: str):
    """Let `a` end once `b` has begun, and `b` once the task after `a` has begun."""
    import pathlib
    import time

    files = pathlib.Path(directory)
    (files / item).touch()
    awaited = {"a": "b", "b": "after a"}.get(item, item)
    deadline = time.monotonic() + 60
    while not (files / awaited).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{item} has waited for {awaited}")
        time.sleep(0.02)


@dsl.component(install_kfp_package=False)
def finish(item: str, directory: str):
    import pathlib

    (pathlib.Path(directory) / f"after {item}").touch()


@dsl.pipeline(name="one-after-the-other")
def alone(directory: str):
    finish(item="a", directory=directory)


@dsl.pipeline(name="two-at-once")
def at_once(directory: str):
    with dsl.ParallelFor(["a", "b"]) as item:
        first = wait(item=item, directory=directory)
        finish(item=item, directory=directory).after(first)


def run(pipeline, name):
    """Run a pipeline in a directory of its own, and return whether print is Python's own afterwards."""
    files = scratch / name
    files.mkdir()
    local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=str(files / "root"))
    pipeline(directory=str(files))
    restored = builtins.print is own
    sys.stderr.write(f"{name}: print is {'restored' if restored else 'still replaced'}\n")
    return restored


sys.stderr.write(f"kfp {version('kfp')}\n")
if not run(alone, "no loop"):
    sys.exit("changed: print stays replaced after a pipeline without a loop")
if all(run(at_once, f"loop {number}") for number in range(1, 21)):
    sys.exit("changed: print was restored after each loop")
PYTHON
cd "$scratch"
"$scratch/venv/bin/python" -W ignore "$scratch/run.py" "$scratch" >"$scratch/log" || { tail -n 20 "$scratch/log"; exit 1; }
