"""Seconds from the start of every command to its help, and of the reading commands to their answer."""

import re
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.main import get_command

from benchmarks.process import REPOSITORY
from benchmarks.setting import Floor, Result, Results, Setting
from components.common.settings import environment
from pipelines.local.home import Home
from pipelines.local.mlflow_api import call_mlflow
from pipelines.local.platform import embedded_platform

Command = tuple[str, ...]
READING: tuple[Command, ...] = (
    ("models", "list"),
    ("models", "show", "champion"),
    ("models", "diff", "1", "2"),
    ("models", "history"),
    ("runs", "list"),
)
ROUNDS, QUICK_ROUNDS = 5, 1
VERSIONS = 20
MOST_SECONDS = {"platform up": 0.6, "platform down": 2.0}
MOST_PREDICT_SECONDS = 1.2
MOST_IMPORTS = 4
IMPORT = re.compile(r"import time: +(\d+) \| +\d+ \| +(\w+)")


@dataclass(frozen=True)
class Timing:
    """Seconds of a command from spawn to exit, one for each round, and the imports that cost most."""

    command: Command
    seconds: list[float]
    imports: str


def measure(setting: Setting, _: Results) -> Result:
    rounds = QUICK_ROUNDS if setting.quick else ROUNDS
    home = Home(setting.work / "home")
    there = ("--home", str(home.path))
    answer(("run", "--data", "digits", "--trials", "1", "--set", "min_accuracy=0", *there))
    at_home = [(*command, *there) for command in READING]
    picture = setting.work / "picture.png"
    _write_digit(setting.test, picture)
    with embedded_platform(home) as platform:
        _register_again(platform.tracking_uri)
        timings = {"platform up": timed(at_home, rounds)}
        timings["one picture"] = timed([("predict", str(picture), *there)], rounds)
        timings["named server"] = timed(READING, rounds, {"MLFLOW_TRACKING_URI": platform.tracking_uri})
    timings["platform down"] = timed(at_home, rounds)
    timings["help"] = timed([(*command, "--help") for command in every_command()], rounds)
    rows = [
        [
            "predict" if way == "one picture" else " ".join(one.command).partition(" --home")[0],
            way,
            f"{statistics.median(one.seconds):.2f}",
            f"{min(one.seconds):.2f} to {max(one.seconds):.2f}",
            one.imports,
        ]
        for way, found in timings.items()
        for one in found
    ]
    slowest = {way: max(statistics.median(one.seconds) for one in found) for way, found in timings.items()}
    return Result(
        "Commands",
        f"From the start of a command's process to its end; median of {rounds}. The platform is that of a home with "
        f"one run and {VERSIONS} versions; the named server is its MLflow, by MLFLOW_TRACKING_URI. Imports are "
        "milliseconds within the modules of a package, in one more process.",
        ["command", "", "seconds", "range", "imports that cost most"],
        rows,
        [
            Floor(
                "predict of one picture, platform up, seconds",
                slowest["one picture"],
                MOST_PREDICT_SECONDS,
                at_least=False,
            ),
            *(
                Floor(f"slowest reading command, {way}, seconds", slowest[way], limit, at_least=False)
                for way, limit in MOST_SECONDS.items()
            ),
        ],
        slowest,
    )


def timed(commands: Sequence[Command], rounds: int, changes: Mapping[str, str] | None = None) -> list[Timing]:
    """Measure commands, in rounds of all of them."""
    seconds: dict[Command, list[float]] = {command: [] for command in commands}
    for _ in range(rounds):
        for command in commands:
            started = time.perf_counter()
            answer(command, changes)
            seconds[command].append(time.perf_counter() - started)
    return [Timing(command, own, imports(command, changes)) for command, own in seconds.items()]


def imports(command: Command, changes: Mapping[str, str] | None = None) -> str:
    """Return the packages whose imports cost a command most, each with its milliseconds."""
    microseconds: dict[str, int] = defaultdict(int)
    for own, package in IMPORT.findall(answer(command, changes, "-X", "importtime")):
        microseconds[package] += int(own)
    most = sorted(microseconds.items(), key=lambda found: -found[1])[:MOST_IMPORTS]
    return ", ".join(f"{package} {own / 1000:.0f}" for package, own in most)


def every_command() -> Iterator[Command]:
    """Yield the names of every command of the command line."""
    from pipelines.cli.main import app

    groups: list[tuple[Command, Any]] = [((), get_command(app))]
    while groups:
        name, group = groups.pop(0)
        yield name
        for part, command in sorted(getattr(group, "commands", {}).items()):
            groups.append(((*name, part), command))


def answer(command: Command, changes: Mapping[str, str] | None = None, *python: str) -> str:
    """Run a command to its end, and return its stderr.

    Raises:
        RuntimeError: It failed; its output is in the message.
    """
    ended = subprocess.run(
        [sys.executable, *python, "-m", "pipelines.cli.main", *command],
        cwd=REPOSITORY,
        env=environment(changes),
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{ended.stdout}{ended.stderr}")
    return ended.stderr


def _write_digit(test: Path, target: Path) -> None:
    from PIL import Image

    from components.common.data.dataset import open_split

    Image.fromarray(open_split(test, "test").images[0, ..., 0]).save(target)


def _register_again(tracking_uri: str) -> None:
    """Register the files of the only version as further versions."""
    (first,) = call_mlflow(tracking_uri, "model-versions/search?filter=name%3D'digits-cnn'")["model_versions"]
    again = {key: first[key] for key in ("name", "source", "run_id", "tags")}
    again["model_id"] = first["source"].removeprefix("models:/")
    for _ in range(VERSIONS - 1):
        call_mlflow(tracking_uri, "model-versions/create", again)
