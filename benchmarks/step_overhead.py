"""Overhead of a step: the pipeline against its steps' functions, called one after the other in one process."""

import statistics
from pathlib import Path

from benchmarks.process import call
from benchmarks.setting import Result, Results, Setting
from components.common.settings import environment
from pipelines.local.home import Home
from pipelines.local.platform import embedded_platform

TRIALS = 2
OPTIONS = {"search.seeds": 1, "gate.min_accuracy": 0.0, "registry.experiment": "step-overhead"}
ROUNDS = 2


def measure(setting: Setting, _: Results) -> Result:
    work = setting.work
    seconds: dict[str, list[float]] = {"DAG": [], "one process": []}
    steps = 0
    with embedded_platform(Home(work / "home")) as platform:
        given = environment({**platform.environment, "OPTUNA_STORAGE": str(work / "journal")})
        for number in range(1 if setting.quick else ROUNDS):
            dag = call("benchmarks.step_overhead:as_dag", str(work), number, environment=given)
            direct = call("benchmarks.step_overhead:in_one_process", str(work), number, environment=given)
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
    from pipelines.local.execute import execute_pipeline

    options = OPTIONS | {"registry.model": f"dag-{number}"}
    arguments = {"data": "digits", "trials": TRIALS, "options": options}
    if execute_pipeline(arguments, f"{work}/dag-{number}"):
        raise RuntimeError("the pipeline failed")


def in_one_process(work: str, number: int) -> int:
    """Call the steps in the DAG's order; return how many they are."""
    from components.common.model.judgement import Judgement
    from components.common.plan.run import RunPlan
    from components.common.storage.files import sha256_file
    from components.evaluate.judge import EvaluationInputs
    from components.evaluate.step import evaluate_step, gate_step
    from components.ingest.step import ingest_step
    from components.preprocess.step import preprocess_step
    from components.register.check_step import check_changes_step
    from components.register.step import close_run_step, register_step
    from components.train.step import train_step
    from components.tune.step import choose_step, open_study_step, search_step

    at, name = Path(work, f"direct-{number}"), f"direct-{number}"
    data, test, baseline, tuned = at / "development", at / "test", at / "baseline", at / "tuned"
    ingest_step(
        {"data.source": "digits", "recipe": "fast", "search.trials": TRIALS},
        OPTIONS | {"registry.model": name},
        run_id=name,
        run_name=name,
        gpu_count="0",
        plan_target=at / "plan",
        raw_target=at / "raw",
    )
    plan = RunPlan.load(at / "plan")
    preprocess_step(plan, at / "raw", development=data, test=test)
    check_changes_step(plan, data)
    train_step(plan, data, baseline)
    open_study_step(plan, baseline)
    search_step(plan, data, baseline)
    choose_step(plan, data, baseline, target=tuned, configuration=at / "choice.json", page=at / "search.html")
    inputs = EvaluationInputs(test=test, development=data, baseline=baseline, tuned=tuned)
    evaluate_step(plan, inputs, target=at / "evaluation", candidate=at / "candidate")
    if gate_step(plan, at / "evaluation") != "register":
        raise RuntimeError("the gate refused the model")
    register_step(
        plan,
        candidate=at / "candidate",
        evaluation=at / "evaluation",
        judgement_digest=sha256_file(at / "evaluation" / Judgement.FILE),
    )
    close_run_step(name, "SUCCEEDED", "")
    return 11
