"""`make run` in a warm home, from start to report: time, memory, and what it writes."""

import json
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from benchmarks.process import REPOSITORY
from benchmarks.setting import Floor, Result, Results, Setting

SAMPLE_SECONDS = 0.25

# Options of a run that only fills the home.
SHORT = ("--trials", "1", "--set", "epochs=1", "--set", "min_accuracy=0.0")


def measure(setting: Setting, earlier: Results) -> Result:
    home = setting.work / "home"
    # The first run fills the store with the data. Each has a model of its own, so none is judged against another's.
    run_whole(home, setting.data, *SHORT, *model_named("warm-up"))
    options = ("--trials", "2", "--set", "min_accuracy=0.0") if setting.quick else ()
    before = size_of(home)
    # To add up the memory of all processes takes a tenth of their time.
    _, _, usage = run_whole(home, setting.data, *options, *model_named("watched"), watched=True)
    usage["kept"] = size_of(home) - before
    summary, seconds, _ = run_whole(home, setting.data, *options, *model_named("measured"))
    steps = summary["steps"]
    rows = [[step["name"], f"{step['seconds']:.1f}"] for step in steps]
    rest = seconds - sum(step["seconds"] for step in steps)
    rows += [["between and around the steps", f"{rest:.1f}"], ["whole run", f"{seconds:.1f}"]]
    rows += [
        ["peak memory of all processes, MB", f"{usage['memory'] / 1e6:.0f}"],
        ["written to disk, MB", f"{usage['written'] / 1e6:.0f}"],
        ["kept in the home, MB", f"{usage['kept'] / 1e6:.0f}"],
    ]
    floors = [
        Floor("whole run: peak memory of all processes, GB", usage["memory"] / 1e9, 2.2, at_least=False),
        Floor("whole run: written to disk, MB", usage["written"] / 1e6, 75, at_least=False),
    ]
    if "time_to_quality" in earlier:
        reference = earlier["time_to_quality"].figures["seed"]["seconds"][0]
        rows.append(["recipe seed alone", f"{reference:.1f}"])
        floors.append(
            Floor("whole run, part of recipe seed's time", seconds / reference, 0.2, at_least=False)
        )
    if not summary["model"]["version"]:
        raise RuntimeError(f"the run registered no model: {summary['decision']}")
    return Result(
        "The whole pipeline",
        "`mnist-pipeline run` on data and environment that are there, from the start of its process to its end: "
        "platform, steps, registered model and report. Memory is the sum of the proportional set sizes of all its "
        "processes, pages of mapped files included, sampled four times a second. Written is what the processes handed "
        "to the disk, without what was deleted before it got there. Both are those of a run of their own, which takes "
        "longer for it. A run before has filled the store with the data.",
        ["part", "seconds"],
        rows,
        floors,
        {"seconds": seconds, "steps": steps, **usage},
    )


def model_named(name: str) -> tuple[str, str]:
    return "--set", f"model_name=benchmark-{name}"


def run_whole(
    home: Path, data: str, *options: str, watched: bool = False
) -> tuple[dict[str, Any], float, dict[str, int]]:
    """Return the run's summary, the seconds of its process, and its bytes of memory at the most and of writing.

    The bytes are 0 unless the run is watched.

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
    usage = {"memory": 0, "written": 0, "cancelled": 0}
    started = time.perf_counter()
    with subprocess.Popen(
        [*command, *options], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        while process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(SAMPLE_SECONDS)
            for name, value in usage_now(process.pid).items() if watched else ():
                usage[name] = max(usage[name], value)
        seconds = time.perf_counter() - started
        usage["written"] -= usage.pop("cancelled")
        output = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise RuntimeError(f"the pipeline failed:\n{output}")
    summary: dict[str, Any] = json.loads(output.splitlines()[-1])
    return summary, seconds, usage


def usage_now(pid: int) -> dict[str, int]:
    """Return bytes of a process and its descendants: memory, written, and cancelled, which were deleted unwritten.

    What ended ones have written counts too.
    """
    usage = {"memory": 0, "written": 0, "cancelled": 0}
    with suppress(psutil.Error):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with suppress(psutil.Error, OSError):
                # Linux adds the figures of a child that has ended to its parent's.
                lines = Path(f"/proc/{process.pid}/io").read_text().splitlines()
                figures = {name: int(value) for name, value in (line.split(": ") for line in lines)}
                usage["written"] += figures["write_bytes"]
                usage["cancelled"] += figures["cancelled_write_bytes"]
                usage["memory"] += process.memory_full_info().pss
    return usage


def size_of(directory: Path) -> int:
    """Return the bytes of all files below a directory."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
