"""The search itself: in this process, and in several of which one is killed."""

import json
import re
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from components.common import patience
from components.common.data.dataset import Split, open_split
from components.common.data.spec import ImageSpec
from components.common.errors import PipelineError, StatedError, UnavailableError
from components.common.model.training_record import Training, weights_digest
from components.common.plan.training import TrainConfig
from components.common.tracking.outbox import Outbox
from components.common.tracking.run import TrackedRun
from components.train.autosave import TERMINATED, Autosave
from components.train.checkpoint import Checkpoint
from components.train.session import Session
from components.tune import trials
from components.tune.halving import Known, Leg
from components.tune.study import SearchRecord, claims, open_study
from components.tune.trials import Worker
from tests.forks import ForkedPython
from tests.records import prepared, random_split, stored_study

SPACE = {"dropout": {"low": 0.1, "high": 0.4}}
PROCESS = """
import sys
from pathlib import Path
from components.common.model.training_record import Training
from components.common.plan.training import TrainConfig
from components.common.tracking.run import StepRun
from components.tune.study import SearchRecord, claims
from components.tune.trials import Worker
from tests.records import stored_study
config = TrainConfig.model_validate(Training.load(Path(sys.argv[2])).config)
record = SearchRecord(stored_study(), images=1000)
Worker(record, claims(), Path(sys.argv[1]), config, StepRun.untracked(), sys.argv[3]).work(1)
"""


class RecordedRun(TrackedRun):
    """A run that keeps its records in memory, without a server."""

    def __init__(self, run_id: str = "") -> None:
        super().__init__(None, run_id, "", Outbox())
        self.runs: dict[str, RecordedRun] = {}
        self.recorded: dict[str, object] = {}

    def child(self, name: str, tags: Mapping[str, str] | None = None) -> "RecordedRun":
        self.runs[name] = RecordedRun(name)
        self.runs[name].recorded.update(tags or {})
        return self.runs[name]

    def nested(self, run_id: str) -> "RecordedRun":
        return self.runs[run_id]

    def log_params(self, params: Mapping[str, object]) -> None:
        self.recorded.update(params)

    def set_tags(self, tags: Mapping[str, object]) -> None:
        self.recorded.update(tags)

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        self.recorded.update({f"{name} {step}": value for name, value in metrics.items()})

    def close(self, status: str = "FINISHED") -> None:
        self.recorded["status"] = status


def _worker(baseline: Training, development: Path, run: TrackedRun, states: str | None) -> Worker:
    record = SearchRecord(stored_study(), images=1000)
    config = TrainConfig.model_validate(baseline.config)
    return Worker(record, claims(), development, config, run, states)


def test_a_paused_trial_goes_on_where_it_stood(
    journal: Path, baseline: Training, config: TrainConfig, development: Path, tmp_path: Path
) -> None:
    open_study("run", baseline, SPACE, trials=2, seeds=1, seed=0)
    run, states = RecordedRun(), str(tmp_path / "states")

    # A worker that ends after the first leg, and another that has only its state.
    _worker(baseline, development, run, states)._do_one([Leg(1, 0)])
    assert run.runs["trial 1"].recorded["outcome"] == "paused"
    assert len(list(Path(states).iterdir())) == 1
    other = _worker(baseline, development, run, states)
    assert other.work(1) == 3

    record = SearchRecord(stored_study(), images=1000)
    trained = config.differing(**record.options(1))
    splits = open_split(development, "train"), open_split(development, "validation")
    session = Session(*splits, trained)
    session.run_until(session.steps)
    undisturbed = session.score()
    recorded = run.runs["trial 1"].recorded
    assert (recorded["val_loss 100"], recorded["val_accuracy 100"]) == (
        undisturbed.val_loss,
        undisturbed.val_accuracy,
    )
    assert (recorded["outcome"], recorded["status"], recorded["step"]) == ("complete", "FINISHED", "trial")
    assert recorded["config.dropout"] == trained.dropout
    assert record.known()[1].scores[1] == undisturbed.val_accuracy
    assert record.repeats().keys() == {(0, 1), (1, 1)}
    # The state at the end stays, for the choice to make the model of.
    (state,) = Path(states).iterdir()
    assert Checkpoint(str(state)).restore(restored := Session(*splits, trained))
    assert weights_digest(restored.model) == weights_digest(session.model)
    assert restored.history[-1].val_loss == undisturbed.val_loss

    # The state of the end does not score the beginning of a search that was lost.
    scores = record.known()[1].scores
    journal.unlink()
    open_study("run", baseline, SPACE, trials=2, seeds=1, seed=0)
    assert _worker(baseline, development, run, states).work(1) == 4
    assert SearchRecord(stored_study(), images=1000).known()[1].scores == scores


@pytest.mark.usefixtures("journal")
def test_a_search_varies_the_weights_of_classes_on_oblong_colour_images(
    baseline: Training, tmp_path: Path
) -> None:
    spec = ImageSpec(12, 20, 3, ("cat", "dog"))
    splits = {"train": random_split(64, spec=spec), "validation": random_split(30, seed=1, spec=spec)}
    prepared(tmp_path / "pets", splits)
    open_study("run", baseline, {"class_weights": [True]}, trials=2, seeds=1, seed=0)
    run = RecordedRun()

    assert _worker(baseline, tmp_path / "pets", run, None).work(1) == 4

    recorded = run.runs["trial 1"].recorded
    assert (recorded["outcome"], recorded["config.class_weights"]) == ("complete", True)


@pytest.mark.usefixtures("journal")
def test_a_worker_goes_on_with_the_trials_in_its_memory_first(baseline: Training, development: Path) -> None:
    # Five legs, of which two go on; the second worker has one of the two in its memory.
    study = open_study("run", baseline, SPACE, trials=6, seeds=0, seed=0)
    first, second = (_worker(baseline, development, RecordedRun(), None) for _ in range(2))
    for trial in range(1, 6):
        (first if trial < 5 else second)._do_one([Leg(trial, 0)])
    record = SearchRecord(study, images=1000)
    going = [job for job in record.due() if isinstance(job, Leg)]
    second._paused = {going[1].trial: (0.0, Session(*second._splits, second._config(going[1].trial)))}

    second._do_one(going)

    assert record.due() == going[:1]


@pytest.mark.usefixtures("journal")
def test_the_best_of_the_paused_trials_stays_in_memory(
    baseline: Training, development: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[TrainConfig] = []

    class Counted(Session):
        def __init__(self, train: Split, validation: Split, config: TrainConfig) -> None:
            built.append(config)
            super().__init__(train, validation, config)

    monkeypatch.setattr(trials, "Session", Counted)
    monkeypatch.setattr(trials, "IN_MEMORY", 1)
    open_study("run", baseline, SPACE, trials=5, seeds=0, seed=0)

    # Four legs, and the best trial's second one without a state to go on from.
    assert _worker(baseline, development, RecordedRun(), None).work(1) == 5
    assert len(built) == 4


@pytest.mark.usefixtures("journal")
def test_sigterm_saves_the_trial_and_another_worker_goes_on(
    baseline: Training, development: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminated(Session):
        def run_until(self, step: int, autosave: Autosave | None = None) -> None:
            signal.raise_signal(signal.SIGTERM)
            super().run_until(step, autosave)

    monkeypatch.setattr(trials, "Session", Terminated)
    open_study("run", baseline, SPACE, trials=2, seeds=1, seed=0)
    run, states = RecordedRun(), str(tmp_path / "states")

    # The first leg takes one step and ends before SIGTERM takes effect; the second is stopped after its first epoch.
    for outcome in [("paused", "FINISHED"), ("interrupted", "KILLED")]:
        with pytest.raises(SystemExit) as ended:
            _worker(baseline, development, run, states).work(1)

        recorded = run.runs["trial 1"].recorded
        assert (ended.value.code, recorded["outcome"], recorded["status"]) == (TERMINATED, *outcome)
        assert SearchRecord(stored_study(), images=1000).known()[1].scores.keys() == {0}
    (saved,) = Path(states).iterdir()
    with np.load(saved) as state:
        assert json.loads(str(list(state.values())[-1]))["step"] == 5
    monkeypatch.setattr(trials, "Session", Session)
    assert _worker(baseline, development, run, states).work(1) == 3
    assert (recorded["outcome"], recorded["status"]) == ("complete", "FINISHED")


@pytest.mark.usefixtures("journal")
def test_a_trial_that_diverges_does_not_end_the_search(
    baseline: Training, development: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = baseline.config | {"optimizer": "sgd", "epochs": 1, "learning_rate": 1e12}
    wild = baseline.model_copy(update={"config": config})
    open_study("run", wild, {"learning_rate": [1e12]}, trials=3, seeds=2, seed=0)
    run = RecordedRun()

    _worker(wild, development, run, None).work(1)

    record = SearchRecord(stored_study(), images=1000)
    assert all(known.failed for known in record.known().values())
    assert [trial.recorded["outcome"] for trial in run.runs.values()] == ["failed", "failed"]
    assert [trial.recorded["status"] for trial in run.runs.values()] == ["FAILED", "FAILED"]
    assert "trial 1 failed: the loss must stay finite" in capsys.readouterr().out


@pytest.mark.usefixtures("journal")
def test_an_outage_of_the_store_neither_fails_a_trial_nor_scores_one(
    baseline: Training,
    development: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def away(*_: object) -> None:
        raise UnavailableError("the store does not answer.")

    monkeypatch.setenv("OUTAGE_SECONDS", "0")
    open_study("run", baseline, SPACE, trials=2, seeds=1, seed=0)
    run, states = RecordedRun(), str(tmp_path / "states")
    with monkeypatch.context() as outage:
        # It may hold a state that took hours.
        outage.setattr(Checkpoint, "restore", away)
        with pytest.raises(UnavailableError):
            _worker(baseline, development, run, states).work(1)
    assert SearchRecord(stored_study(), images=1000).known() == {1: Known()}
    assert run.runs["trial 1"].recorded["outcome"] == "interrupted"

    monkeypatch.setattr(Checkpoint, "save", away)
    assert _worker(baseline, development, run, states).work(1) == 4
    known = SearchRecord(stored_study(), images=1000).known()[1]
    assert (sorted(known.scores), known.failed) == ([0, 1], False)
    assert capsys.readouterr().out.count("the training goes on without: the store does not answer.") == 2


@pytest.mark.usefixtures("journal")
def test_a_store_that_refuses_fails_no_trial(
    baseline: Training, development: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PipelineError("the bucket must exist but does not: create it.")

    monkeypatch.setattr(Checkpoint, "restore", refuse)
    open_study("run", baseline, SPACE, trials=2, seeds=1, seed=0)
    with pytest.raises(StatedError, match="the bucket must exist"):
        _worker(baseline, development, RecordedRun(), str(tmp_path / "states")).work(1)
    assert SearchRecord(stored_study(), images=1000).known() == {1: Known()}


def test_connections_that_end_during_trainings_lose_nothing(
    cut: Callable[[], None], baseline: Training, development: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Cut(Session):
        def run_until(self, step: int, autosave: Autosave | None = None) -> None:
            super().run_until(step, autosave)
            cut()

    monkeypatch.setattr(trials, "Session", Cut)
    monkeypatch.setattr(patience, "FIRST_PAUSE", 0.1)
    open_study("run", baseline, SPACE, trials=3, seeds=1, seed=0)

    assert _worker(baseline, development, RecordedRun(), None).work(1) == 5

    record = SearchRecord(stored_study(), images=1000)
    assert [sorted(known.scores) for known in record.known().values()].count([0, 1]) == 1
    assert record.repeats().keys() >= {(0, 1)}
    assert len(record.repeats()) == 2


@pytest.mark.usefixtures("journal")
def test_a_claim_that_was_lost_records_nothing(
    baseline: Training, development: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_study("run", baseline, SPACE, trials=2, seeds=1, seed=0)
    run = RecordedRun()
    worker = _worker(baseline, development, run, None)
    monkeypatch.setattr(worker._claims, "holds", lambda: False)

    worker._do_one([Leg(1, 0)])

    assert SearchRecord(stored_study(), images=1000).known() == {1: Known()}
    assert not {"outcome", "status"} & run.runs["trial 1"].recorded.keys()


@pytest.mark.usefixtures("any_storage")
def test_workers_share_the_search_and_one_that_is_killed_loses_nothing(
    baseline: Training, development: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    model.mkdir()
    baseline.save(model)
    study = open_study("run", baseline, SPACE, trials=6, seeds=1, seed=0)

    workers = [ForkedPython(PROCESS, development, model, tmp_path / "checkpoints") for _ in range(2)]
    killed, survivor = workers
    lines = [killed.stdout.readline()]
    time.sleep(0.5)  # into its next piece of work
    killed.send_signal(signal.SIGKILL)
    for worker in workers:
        lines += worker.stdout.read().splitlines()

    assert (killed.wait(), survivor.wait()) == (-signal.SIGKILL, 0)
    known = SearchRecord(study, images=1000).known()
    assert all(0 in trial.scores for trial in known.values())
    finished = [number for number, trial in known.items() if 1 in trial.scores]
    assert len(finished) == 2
    done = re.findall(r"trial (\d+) (paused|complete|with seed)", "\n".join(lines))
    # Each once, but for a line that the kill may have swallowed after its work was recorded.
    assert len(done) == len(set(done))
    assert len(done) >= 5 + 2 + 2 - 1
