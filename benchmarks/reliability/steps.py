"""The steps of a run through their entry points, on small data, and what each must leave behind."""

import json
import shutil
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.reliability.postgres import by_psycopg2
from components.common.plan.run import RunPlan
from pipelines.local.mlflow_api import call_mlflow

# Little work, on scikit-learn's digits.
PLAN = {
    "training.epochs": 3,
    "training.min_steps": 0,
    "training.batch_size": 64,
    "search.seeds": 1,
    "search.space": {"learning_rate": [0.02, 0.05]},
    "gate.min_accuracy": 0.0,
    "gate.skip_if_unchanged": True,
    "registry.experiment": "faults",
}
TRIALS = 2
DATA_NAME = "digits-of-a-store"
Outcome = Any  # of JSON


@dataclass(frozen=True)
class Place:
    """Where a step works.

    Attributes:
        plan: The plan of the run.
        given: Directory with the artifacts of the steps before.
        out: Directory for its own.
        tracking_uri: MLflow's address, without faults.
        variables: The step's environment, with the servers as they are without faults.
        data: Address of the data.
    """

    plan: RunPlan
    given: Path
    out: Path
    tracking_uri: str
    variables: Mapping[str, str]
    data: str


@dataclass(frozen=True)
class Step:
    """A step of the pipeline.

    Attributes:
        work: Does it, in a process of its own.
        outcome: Reads what it left behind, as a value that is the same whenever it did the same.
        hurt: The artifact that a test damages, below the given ones.
        opens_run: Whether the pipeline's run must be in MLflow before.
    """

    work: Callable[[Place], None]
    outcome: Callable[[Place], Outcome]
    hurt: str = ""
    opens_run: bool = True


def _ingest(place: Place) -> None:
    from components.ingest.step import ingest_step

    options = {**PLAN, "registry.model": place.plan.model_name, "data.name": DATA_NAME}
    ingest_step(
        {"data.source": place.data, "recipe": "fast", "search.trials": TRIALS},
        options,
        run_id=place.plan.run_id,
        run_name=place.plan.run_name,
        gpu_count="0",
        plan_target=place.out / "plan",
        raw_target=place.out / "raw",
    )


def _ingested(place: Place) -> Outcome:
    source = json.loads((place.out / "raw/source.json").read_text())
    return [source["files"], source["counts"], RunPlan.load(place.out / "plan").digest()]


def _preprocess(place: Place) -> None:
    from components.preprocess.step import preprocess_step

    preprocess_step(
        place.plan, place.given / "raw", development=place.out / "development", test=place.out / "test"
    )


def _preprocessed(place: Place) -> Outcome:
    found = [json.loads((place.out / part / "dataset.json").read_text()) for part in ("development", "test")]
    return [[one["files"], one["counts"]] for one in found]


def _check(place: Place) -> None:
    from components.register.check_step import check_changes_step

    _answer(place, check_changes_step(place.plan, place.given / "development"))


def _train(place: Place) -> None:
    from components.train.step import train_step

    train_step(place.plan, place.given / "development", place.out / "model")


def _trained(place: Place) -> Outcome:
    return _model(place.out / "model")


def _model(directory: Path) -> Outcome:
    """Return what identifies the weights: their recorded digest, and a check sum of the file that holds them."""
    recorded = json.loads((directory / "training.json").read_text())["weights_digest"]
    with zipfile.ZipFile(directory / "model.keras") as archive:
        # Read, not as the archive has it: its content may be damaged.
        return [recorded, zlib.crc32(archive.read("model.weights.h5"))]


def _study(place: Place) -> None:
    from components.tune.step import open_study_step

    _answer(place, open_study_step(place.plan, place.given / "baseline"))


def _opened(place: Place) -> Outcome:
    return [_answered(place), [trial[:2] for trial in _trials(place)]]


def _search(place: Place) -> None:
    from components.tune.step import search_step

    search_step(place.plan, place.given / "development", place.given / "baseline")


def _searched(place: Place) -> Outcome:
    return [trial[1:] for trial in _trials(place)]


def _trials(place: Place) -> list[list[Any]]:
    """Return state, parameters and scores of every trial."""
    import optuna
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend

    where = place.variables["OPTUNA_STORAGE"]
    storage = RDBStorage(by_psycopg2(where)) if "://" in where else JournalStorage(JournalFileBackend(where))
    study = optuna.load_study(study_name=place.plan.run_id, storage=storage)
    return [
        [trial.state.name, sorted(trial.params.items()), sorted(trial.intermediate_values.items())]
        for trial in study.trials
    ]


def _choose(place: Place) -> None:
    from components.tune.step import choose_step

    choose_step(
        place.plan,
        place.given / "development",
        place.given / "baseline",
        target=place.out / "model",
        configuration=place.out / "choice.json",
        page=place.out / "search.html",
    )


def _chosen(place: Place) -> Outcome:
    return [json.loads((place.out / "choice.json").read_text()), _model(place.out / "model")]


def _evaluate(place: Place) -> None:
    from components.evaluate.judge import EvaluationInputs
    from components.evaluate.step import evaluate_step

    parts = {name: place.given / name for name in ("test", "development", "baseline", "tuned")}
    inputs = EvaluationInputs(**parts)
    evaluate_step(place.plan, inputs, target=place.out / "evaluation", candidate=place.out / "candidate")


def _evaluated(place: Place) -> Outcome:
    judgement = json.loads((place.out / "evaluation/judgement.json").read_text())
    named = ("action", "verdict", "candidate", "temperature", "reject_below", "test_digest")
    evaluation = json.loads((place.out / "evaluation/evaluation.json").read_text())
    files = sorted(path.name for path in (place.out / "candidate").iterdir())
    scores = [evaluation[name]["accuracy"] for name in ("baseline", "tuned")]
    return [[judgement[name] for name in named], scores, _model(place.out / "candidate"), files]


def _gate(place: Place) -> None:
    from components.evaluate.step import gate_step

    _answer(place, gate_step(place.plan, place.given / "evaluation"))


def _register(place: Place) -> None:
    from components.common.model.judgement import Judgement
    from components.common.storage.files import sha256_file
    from components.register.step import register_step

    evaluation = place.given / "evaluation"
    register_step(
        place.plan,
        candidate=place.given / "candidate",
        evaluation=evaluation,
        judgement_digest=sha256_file(evaluation / Judgement.FILE),
    )


def _registered(place: Place) -> Outcome:
    """Return the versions of this run, whether the alias is at theirs, and how often the list moved it there."""
    name = place.plan.model_name
    own = [
        version for version in _versions(place, name) if tags(version)["pipeline_run_id"] == place.plan.run_id
    ]
    model = call_mlflow(place.tracking_uri, f"registered-models/get?name={name}")["registered_model"]
    champion = [alias["version"] for alias in model["aliases"] if alias["alias"] == "champion"]
    moved = [tags(version)["after"] for version in _versions(place, f"{name}.history")]
    return [
        len(own),
        champion == [version["version"] for version in own],
        [moved.count(version["version"]) for version in own],
    ]


def tags(described: dict[str, Any]) -> dict[str, str]:
    """Return the tags of what MLflow's API describes."""
    return {tag["key"]: tag["value"] for tag in described.get("tags", ())}


def _versions(place: Place, name: str) -> list[dict[str, Any]]:
    found = call_mlflow(place.tracking_uri, f"model-versions/search?filter=name%3D'{name}'")
    return sorted(found.get("model_versions", ()), key=lambda version: int(version["version"]))


def _close(place: Place) -> None:
    from components.register.step import close_run_step

    close_run_step(place.plan.run_id, "SUCCEEDED", "")


def _closed(place: Place) -> Outcome:
    experiments = call_mlflow(place.tracking_uri, "experiments/search", {"max_results": 100})["experiments"]
    search = {
        "experiment_ids": [experiment["experiment_id"] for experiment in experiments],
        "filter": f"attributes.run_name = '{place.plan.run_name}'",
    }
    runs = call_mlflow(place.tracking_uri, "runs/search", search)["runs"]
    return [run["info"]["status"] for run in runs]


def _answer(place: Place, answer: object) -> None:
    (place.out / "answer.json").write_text(json.dumps(answer))


def _answered(place: Place) -> Outcome:
    return json.loads((place.out / "answer.json").read_text())


STEPS = {
    "ingest": Step(_ingest, _ingested, opens_run=False),
    "preprocess": Step(_preprocess, _preprocessed, "raw/train-images-idx3-ubyte"),
    "check": Step(_check, _answered, "development/dataset.json"),
    "train": Step(_train, _trained, "development/train_images.npy"),
    "study": Step(_study, _opened, "baseline/training.json"),
    "search": Step(_search, _searched, "development/train_images.npy"),
    "choose": Step(_choose, _chosen, "baseline/model.keras"),
    "evaluate": Step(_evaluate, _evaluated, "test/test_images.npy"),
    "gate": Step(_gate, _answered, "evaluation/judgement.json"),
    "register": Step(_register, _registered, "candidate/model.keras"),
    "close": Step(_close, _closed),
}


def run_plan(name: str, source: str) -> RunPlan:
    """Return the plan of a run whose id, name and registered model are `name`."""
    from components.common.plan.resolve import resolve_form

    form = {"data.source": source, "recipe": "fast", "search.trials": TRIALS}
    options = {**PLAN, "registry.model": name, "data.name": DATA_NAME}
    return resolve_form(form, options, run_id=name, run_name=name, gpu_count=0).plan.named(DATA_NAME, "")


def artifacts(step: str, out: Path, given: Path) -> None:
    """Put what a step wrote among the artifacts that later steps are given."""
    renamed = {"train": {"model": "baseline"}, "choose": {"model": "tuned"}}.get(step, {})
    for path in out.iterdir():
        target = given / renamed.get(path.name, path.name)
        if path.is_dir():
            shutil.copytree(path, target)
        else:
            shutil.copy(path, target)
