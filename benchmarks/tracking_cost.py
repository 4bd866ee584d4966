"""Cost of tracking: a training of recipe fast with an embedded MLflow server, and without."""

import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.process import call
from benchmarks.setting import Floor, Result, Results, Setting
from components.common.settings import environment, settings
from pipelines.local.home import Home
from pipelines.local.platform import embedded_platform

ROUNDS = 3


def measure(setting: Setting, _: Results) -> Result:
    ways: dict[str, list[dict[str, float]]] = {"without MLflow": [], "with MLflow": []}
    with embedded_platform(Home(setting.work / "home")) as platform:
        untracked = {key: value for key, value in environment().items() if not key.startswith("MLFLOW_")}
        environments = (untracked, {**untracked, **platform.environment, "CHECKPOINT_DIR": ""})
        for number in range(1 if setting.quick else ROUNDS):
            for (way, runs), given in zip(ways.items(), environments, strict=True):
                target = str(setting.work / f"{way}-{number}")
                arguments = (str(setting.development), f"tracking-{number}", target)
                ended = call("benchmarks.tracking_cost:train_tracked", *arguments, environment=given)
                runs.append({**ended.value, "process": ended.seconds})
    rows = []
    for way, runs in ways.items():
        parts = [f"{statistics.median(run[part] for run in runs):.3f}" for part in ("training", "callbacks")]
        rows.append([way, *parts, f"{statistics.median(run['process'] for run in runs):.2f}"])
    added = statistics.median(
        tracked["callbacks"] - plain["callbacks"] for plain, tracked in zip(*ways.values(), strict=True)
    )
    share = added / statistics.median(run["training"] for run in ways["without MLflow"])
    return Result(
        "Cost of tracking",
        "A training of recipe fast inside its step, each in a fresh process. Training is the call of the training "
        "function; callbacks is the part of it spent in reporting each scoring. The process also opens and closes "
        "the run in MLflow, and imports its client. Medians of alternating rounds.",
        ["way", "training, s", "callbacks, s", "whole process, s"],
        rows,
        [Floor("tracking, part of the training time", share, 0.01, at_least=False)],
        dict(ways),
    )


def train_tracked(development: str, pipeline_run_id: str, target: str) -> dict[str, float]:
    """Train as the step does, and return the seconds of the training and of its callbacks."""
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

        started = time.perf_counter()
        fit_model(Path(development), config, recipe="fast", target=Path(target), on_epoch=on_epoch)
        return {"training": time.perf_counter() - started, "callbacks": in_callbacks}
