"""Cost of tracking: a training of recipe fast without MLflow, with an embedded server, and with one gone silent."""

import statistics
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.process import call
from benchmarks.reliability.command import processes_of
from benchmarks.setting import Floor, Result, Results, Setting
from components.common.settings import environment, settings
from pipelines.local.home import Home
from pipelines.local.platform import embedded_platform

ROUNDS = 3
WAYS = WITHOUT, WITH, SILENT = "without MLflow", "with MLflow", "with a silent MLflow"


def measure(setting: Setting, _: Results) -> Result:
    ways: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    home = str(setting.work / "home")
    with embedded_platform(Home(Path(home))) as platform:
        untracked = {key: value for key, value in environment().items() if not key.startswith("MLFLOW_")}
        tracked = {**untracked, **platform.environment, "CHECKPOINT_DIR": ""}
        environments = (untracked, tracked, tracked)
        for number in range(1 if setting.quick else ROUNDS):
            for (way, runs), given in zip(ways.items(), environments, strict=True):
                target = str(setting.work / f"{way}-{number}")
                arguments = (
                    str(setting.development),
                    f"{way} {number}".replace(" ", "-"),
                    target,
                    home * (way == SILENT),
                )
                ended = call("benchmarks.tracking_cost:train_tracked", *arguments, environment=given)
                runs.append({**ended.value, "process": ended.seconds})
    rows = []
    for way, runs in ways.items():
        parts = [f"{statistics.median(run[part] for run in runs):.3f}" for part in ("training", "callbacks")]
        rows.append([way, *parts, f"{statistics.median(run['process'] for run in runs):.2f}"])
    training = statistics.median(run["training"] for run in ways[WITHOUT])
    floors = []
    for way, most in {WITH: 0.01, SILENT: 0.05}.items():
        pairs = zip(ways[WITHOUT], ways[way], strict=True)
        added = statistics.median(run["callbacks"] - plain["callbacks"] for plain, run in pairs)
        floors.append(
            Floor(f"tracking {way}, part of the training time", added / training, most, at_least=False)
        )
    return Result(
        "Cost of tracking",
        "A training of recipe fast inside its step, each in a fresh process. Training is the call of the training "
        "function; callbacks is the part of it spent in reporting each scoring. The process also opens and closes "
        "the run in MLflow, and imports its client. The silent server is suspended (SIGSTOP) from the first step of "
        "training to the last, and takes connections without an answer. Medians of alternating rounds.",
        ["way", "training, s", "callbacks, s", "whole process, s"],
        rows,
        floors,
        dict(ways),
    )


def train_tracked(development: str, pipeline_run_id: str, target: str, home: str) -> dict[str, float]:
    """Train as the step does, and return the seconds of the training and of its callbacks.

    Args:
        development: Directory with the training and the validation split.
        pipeline_run_id: Id of the run.
        target: Directory for the model.
        home: That of the MLflow server that is to be silent; "" for none.
    """
    servers = [one for one in processes_of(Path(home)) if "mlflow" in " ".join(one.cmdline())] if home else []
    return _train(development, pipeline_run_id, target, servers)


def _train(
    development: str, pipeline_run_id: str, target: str, servers: list[psutil.Process]
) -> dict[str, float]:
    from components.common.model.training_record import Epoch
    from components.common.plan.training import RECIPES
    from components.common.tracking.step import step_run
    from components.common.tracking.tree import open_pipeline_run
    from components.train.fit import fit_model
    from components.train.step import narrator

    config: Any = RECIPES["fast"]
    open_pipeline_run(pipeline_run_id, pipeline_run_id, "tracking-cost")
    in_callbacks = 0.0
    with step_run(pipeline_run_id, "train-baseline") as run:
        if run.tracked != bool(settings().mlflow_tracking_uri):
            raise RuntimeError("MLflow did not open the run")
        narrate = narrator("train-baseline", run, config, Path(development))

        def on_epoch(epoch: Epoch) -> None:
            nonlocal in_callbacks
            began = time.perf_counter()
            narrate(epoch)
            in_callbacks += time.perf_counter() - began

        for server in servers:
            server.suspend()
        started = time.perf_counter()
        fit_model(Path(development), config, recipe="fast", target=Path(target), on_epoch=on_epoch)
        seconds = time.perf_counter() - started
        for server in servers:
            server.resume()
        return {"training": seconds, "callbacks": in_callbacks}
