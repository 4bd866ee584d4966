"""A run without faults: what each step is given, what it must leave, and how often it touches disk and servers."""

import json
import shutil
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from benchmarks.reliability.attempt import Ended, make_attempt
from benchmarks.reliability.lane import Lane
from benchmarks.reliability.proxy import Fault
from benchmarks.reliability.steps import STEPS, Place, artifacts, run_plan
from components.common.provenance import code_digest
from components.common.storage.s3 import DEFAULT_BUCKET, s3_client
from components.common.tracking import tags
from pipelines.local.mlflow_api import call_mlflow

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BOUND = 300.0
DATA_KEY = "data/digits.npz"
DATA = f"s3://{DEFAULT_BUCKET}/{DATA_KEY}"
CHAMPION_MODEL = "reference-champion"
EXPERIMENT = "faults"
# Steps that look at the champion of an earlier run.
COMPARING = {"check", "evaluate"}
BEFORE_CHAMPION = ("ingest", "preprocess", "train", "study", "search", "choose", "evaluate")
AFTER_CHAMPION = ("check", "evaluate", "gate", "register", "close")
# Only counts requests.
NEVER = Fault("slow", first=10**9)
RUN = "@RUN@"


@dataclass
class Reference:
    """What the steps of a run without faults were given and left.

    Attributes:
        directory: Holds the artifacts, the journals and the states of trainings.
        outcomes: What each step left, as JSON.
        touches: How often the main process of each step touched anything.
        requests: How many requests of each step went to each server.
        seconds: How long each step took.
    """

    FILE: ClassVar[str] = "reference.json"

    directory: Path
    outcomes: dict[str, str] = field(default_factory=dict)
    touches: dict[str, int] = field(default_factory=dict)
    requests: dict[str, dict[str, int]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def given(self) -> Path:
        """The artifacts of all steps."""
        return self.directory / "artifacts"

    def make(self, lane: Lane, steps: Collection[str] = STEPS) -> None:
        """Do all steps up to a champion, and with it those of `steps`, one after the other, as the cells do it.

        Raises:
            RuntimeError: One of them failed.
        """
        self.given.mkdir(parents=True)
        put_data(lane)
        for step in BEFORE_CHAMPION:
            self._keep(step, self._measure(step, lane, f"before-{step}"), lane)
        self.register(lane, CHAMPION_MODEL)
        for step in (step for step in AFTER_CHAMPION if step in steps):
            self._measure(step, lane, f"after-{step}")
        known = {**vars(self), "directory": str(self.directory), "code": code_digest()}
        (self.directory / self.FILE).write_text(json.dumps(known))

    @classmethod
    def load(cls, directory: Path) -> "Reference | None":
        """Return the run that was made in a directory by this code, None where there is none."""
        path = directory / cls.FILE
        known = json.loads(path.read_text()) if path.exists() else {}
        if known.pop("code", None) != code_digest():
            return None
        return cls(**{**known, "directory": directory})

    def add_lane(self, lane: Lane) -> None:
        """Bring the data and the champion to further servers."""
        put_data(lane)
        self.register(lane, CHAMPION_MODEL)

    def place(self, step: str, lane: Lane, directory: Path, patience: float = 10.0) -> Place:
        """Prepare a new directory for a step, and open its run in MLflow; its name is that of run and model."""
        name, journal = directory.name, directory / "journal.log"
        directory.mkdir(exist_ok=True)
        shutil.copytree(self.given, directory / "given")
        plan = run_plan(name, DATA)
        if step in COMPARING:
            registry = plan.registry.model_copy(update={"model": CHAMPION_MODEL})
            plan = plan.model_copy(update={"registry": registry})
        if STEPS[step].opens_run:
            open_run(lane.tracking_uri, name)
        kept = self.directory / f"journal-{step}.log"
        if kept.exists():
            journal.write_text(kept.read_text().replace(RUN, name))
        if step == "choose":
            s3 = client(lane)
            for state in (self.directory / "states").iterdir():
                s3.put_object(
                    Bucket=DEFAULT_BUCKET, Key=f"{_states(name)}/{state.name}", Body=state.read_bytes()
                )
        variables = {
            **lane.variables,
            "MNIST_DATA_URI": "",
            "OPTUNA_STORAGE": str(journal),
            "CHECKPOINT_DIR": f"s3://{DEFAULT_BUCKET}/{_states(name)}",
            "CHECKPOINT_SECONDS": "0",
            "OUTAGE_SECONDS": f"{patience:g}",
        }
        return Place(plan, directory / "given", directory / "out", lane.tracking_uri, variables, DATA)

    def restore(self, directory: Path) -> None:
        """Give a step its undamaged artifacts again."""
        shutil.rmtree(directory / "given")
        shutil.copytree(self.given, directory / "given")

    def is_outcome(self, step: str, place: Place) -> bool:
        """Return whether a step left what it must."""
        return json.dumps(STEPS[step].outcome(place), sort_keys=True) == self.outcomes[step]

    def register(self, lane: Lane, model: str) -> None:
        """Register the candidate as the first version, and champion, of a model of another name."""
        place = self.place("register", lane, lane.home.path.parent / model)
        _do("register", place)

    def _measure(self, step: str, lane: Lane, name: str) -> Place:
        place = self.place(step, lane, self.directory / name)
        proxies = {"store": lane.store, "mlflow": lane.mlflow}
        for proxy in proxies.values():
            proxy.set(NEVER)
        ended = _do(step, place)
        self.touches[step], self.seconds[step] = ended.touches, ended.seconds
        self.requests[step] = {name: proxy.requests for name, proxy in proxies.items()}
        for proxy in proxies.values():
            proxy.set(None)
        self.outcomes[step] = json.dumps(STEPS[step].outcome(place), sort_keys=True)
        return place

    def _keep(self, step: str, place: Place, lane: Lane) -> None:
        """Keep for the later steps what this one wrote."""
        name, later = place.plan.run_id, {"study": "search", "search": "choose"}.get(step)
        if later:
            journal = Path(place.variables["OPTUNA_STORAGE"]).read_text()
            (self.directory / f"journal-{later}.log").write_text(journal.replace(name, RUN))
        artifacts(step, place.out, self.given)
        if step == "search":
            (self.directory / "states").mkdir()
            s3 = client(lane)
            for item in s3.list_objects_v2(Bucket=DEFAULT_BUCKET, Prefix=_states(name)).get("Contents", ()):
                body = s3.get_object(Bucket=DEFAULT_BUCKET, Key=item["Key"])["Body"].read()
                (self.directory / "states" / Path(item["Key"]).name).write_bytes(body)


def _states(name: str) -> str:
    return f"checkpoints/{name}"


def _do(step: str, place: Place) -> Ended:
    ended = make_attempt(step, place, bound=BOUND)
    if ended.status != 0:
        raise RuntimeError(f"{step} must end well without faults but did not:\n{ended.output}")
    return ended


def client(lane: Lane) -> "S3Client":
    """Return a client of the store without faults."""
    credentials = {name: value for name, value in lane.variables.items() if name.startswith("AWS_")}
    return s3_client(f"http://127.0.0.1:{lane.store_port}", credentials)


def put_data(lane: Lane) -> None:
    """Put the digits into the store, as an npz file of somebody's own."""
    import io

    from components.ingest.digits import digits_form

    content = io.BytesIO()
    arrays: dict[str, Any] = {}
    for part, name in (("train", "train"), ("test", "test")):
        images, labels = next(digits_form().parts[part].chunks())
        arrays |= {f"x_{name}": images, f"y_{name}": labels.astype(np.uint8)}
    np.savez(content, **arrays)
    client(lane).put_object(Bucket=DEFAULT_BUCKET, Key=DATA_KEY, Body=content.getvalue())


def open_run(tracking_uri: str, name: str) -> None:
    """Open the run of a pipeline run in MLflow, as `ingest` does."""
    found = call_mlflow(
        tracking_uri, "experiments/search", {"max_results": 100, "filter": f"name = '{EXPERIMENT}'"}
    )
    experiments = found.get("experiments") or [
        call_mlflow(tracking_uri, "experiments/create", {"name": EXPERIMENT})
    ]
    marks = {tags.PIPELINE_RUN: name, tags.STEP: tags.PIPELINE, "mlflow.runName": name}
    run = {
        "experiment_id": experiments[0]["experiment_id"],
        "run_name": name,
        "start_time": int(time.time() * 1000),
        "tags": [{"key": key, "value": value} for key, value in marks.items()],
    }
    call_mlflow(tracking_uri, "runs/create", run)
