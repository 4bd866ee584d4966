"""What the DAG costs a step: the pipeline against its steps' functions, called one after the other in one process."""

import json
import os
import statistics
from pathlib import Path
from typing import Any

from benchmarks.process import call
from benchmarks.setting import Result, Results, Setting
from pipelines.local.home import Home
from pipelines.local.platform import embedded_platform

TRIALS = 2
SEEDS = 1
MIN_ACCURACY = 0.0
EXPERIMENT = "step-overhead"
ROUNDS = 2


def measure(setting: Setting, _: Results) -> Result:
    work = setting.work
    seconds: dict[str, list[float]] = {"DAG": [], "one process": []}
    steps = 0
    with embedded_platform(Home(work / "home")) as platform:
        environment = {**os.environ, **platform.environment}
        for number in range(1 if setting.quick else ROUNDS):
            dag = call("benchmarks.step_overhead:as_dag", str(work), number, environment=environment)
            direct = call(
                "benchmarks.step_overhead:in_one_process", str(work), number, environment=environment
            )
            seconds["DAG"].append(dag.seconds)
            seconds["one process"].append(direct.seconds)
            steps = direct.value
    overhead = statistics.median(
        (dag - direct) / steps for dag, direct in zip(*seconds.values(), strict=True)
    )
    rows = [
        [way, f"{statistics.median(own):.1f}", f"{min(own):.1f} to {max(own):.1f}"]
        for way, own in seconds.items()
    ]
    rows.append([f"overhead of each of {steps} steps", f"{overhead:.2f}", ""])
    return Result(
        "Overhead of a step",
        f"Recipe fast with {TRIALS} trials on the bundled digits, on one running platform: every step a process of "
        "the DAG, and the same functions called in one process, from spawn to exit.",
        ["way", "seconds", "range"],
        rows,
        figures={**seconds, "steps": steps},
    )


def as_dag(work: str, number: int) -> None:
    from pipelines.local.execute import main

    arguments = {
        "data": "digits",
        "trials": TRIALS,
        "tuning_seeds": SEEDS,
        "min_accuracy": MIN_ACCURACY,
        "experiment_name": EXPERIMENT,
        "model_name": f"dag-{number}",
    }
    if main(json.dumps(arguments), f"{work}/dag-{number}"):
        raise RuntimeError("the pipeline failed")


def in_one_process(work: str, number: int) -> int:
    """Call the steps in the DAG's order; return how many they are."""
    from components.evaluate.step import evaluate_step, gate_step
    from components.ingest.collect import IngestConfig
    from components.ingest.step import ingest_step
    from components.preprocess.step import preprocess_step
    from components.register.check_step import check_changes_step
    from components.register.step import close_run_step, register_step
    from components.train.step import train_step
    from components.tune.step import choose_step, open_study_step, search_step

    at, name = Path(work, f"direct-{number}"), f"direct-{number}"
    zeros: dict[str, Any] = {"epochs": 0, "batch_size": 0, "learning_rate": 0.0, "seed": 0}
    gpu = ("0", "nvidia.com/gpu")
    data, baseline, tuned = at / "development", at / "baseline", at / "tuned"
    ingest_step(IngestConfig("digits"), name, name, EXPERIMENT, name, at / "raw")
    preprocess_step(at / "raw", name, 23, False, 1.0, data, at / "test")
    check_changes_step(data, name, name, False, {})
    train_step(data, name, "train-baseline", "fast", zeros, "{}", *gpu, baseline)
    open_study_step(baseline, name, TRIALS, 1, SEEDS, 0, {})
    search_step(data, baseline, name, *gpu)
    choice = choose_step(baseline, name, at / "choice.json", at / "search.html")
    train_step(data, name, "train-tuned", "fast", zeros, json.dumps(choice.overrides), *gpu, tuned)
    evaluate_step(
        at / "test", data, baseline, tuned, name, name, MIN_ACCURACY, at / "evaluation", at / "candidate"
    )
    if gate_step(at / "evaluation", name) != "register":
        raise RuntimeError("the gate refused the model")
    register_step(at / "candidate", at / "evaluation", name, name)
    close_run_step(name, "SUCCEEDED", "")
    return 12
