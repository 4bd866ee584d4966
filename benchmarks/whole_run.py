"""`make run` in a warm home, from start to report, against the 20 epochs of the recipe seed."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.process import REPOSITORY
from benchmarks.setting import Floor, Result, Results, Setting


def measure(setting: Setting, earlier: Results) -> Result:
    home = setting.work / "home"
    # The first run fills the store with the data; its model is not the one that the second is judged against.
    run_whole(
        home,
        setting.data,
        "--trials",
        "1",
        "--set",
        "epochs=1",
        "--set",
        "min_accuracy=0.0",
        *model_named("warm-up"),
    )
    options = ("--trials", "2", "--set", "min_accuracy=0.0") if setting.quick else ()
    summary, seconds = run_whole(home, setting.data, *options, *model_named("measured"))
    steps = summary["steps"]
    rows = [[step["name"], f"{step['seconds']:.1f}"] for step in steps]
    rest = seconds - sum(step["seconds"] for step in steps)
    rows += [["between and around the steps", f"{rest:.1f}"], ["whole run", f"{seconds:.1f}"]]
    floors = []
    if "time_to_quality" in earlier:
        reference = earlier["time_to_quality"].figures["seed"]["seconds"][0]
        rows.append(["recipe seed alone", f"{reference:.1f}"])
        floors.append(
            Floor("whole run, part of recipe seed's time", seconds / reference, 0.5, at_least=False)
        )
    if not summary["model"]["version"]:
        raise RuntimeError(f"the run registered no model: {summary['decision']}")
    return Result(
        "The whole pipeline",
        "`mnist-pipeline run` on data and environment that are there, from the start of its process to its end: "
        "platform, steps, registered model and report.",
        ["part", "seconds"],
        rows,
        floors,
        {"seconds": seconds, "steps": steps},
    )


def model_named(name: str) -> tuple[str, str]:
    return "--set", f"model_name=benchmark-{name}"


def run_whole(home: Path, data: str, *options: str) -> tuple[dict[str, Any], float]:
    """Return the run's summary, and the seconds of its process.

    Raises:
        RuntimeError: The run failed.
    """
    command = [
        sys.executable,
        "-m",
        "pipelines.cli.main",
        "run",
        "--json",
        "--home",
        str(home),
        "--data",
        data,
    ]
    started = time.perf_counter()
    ended = subprocess.run([*command, *options], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if ended.returncode:
        raise RuntimeError(f"the pipeline failed:\n{ended.stderr}")
    summary: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return summary, seconds
