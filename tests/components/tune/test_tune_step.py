import html
import json
from pathlib import Path

import pytest

from components.common.model.training_record import MODEL_FILE, Training, repeats, weights_digest
from components.common.plan.run import RunPlan
from components.common.plan.training import RECIPES, TrainConfig
from components.train import fit
from components.train.model import build_model
from components.train.session import Session
from components.tune.choice import Choice
from components.tune.step import choose_step, open_study_step, search_step
from tests.forks import ForkedPython
from tests.records import run_plan, stored_study

ALONE = """
import json, sys
from pathlib import Path
from components.common.plan.training import TrainConfig
from components.train.fit import fit_model
config = TrainConfig.model_validate(json.loads(sys.argv[3]))
fit_model(Path(sys.argv[1]), config, recipe="fast", target=Path(sys.argv[2]), on_epoch=print)
"""
# With it a finalist is chosen however small its gain is.
ANY_FINALIST = 1 - 1e-9
pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


@pytest.fixture
def untracked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def model(baseline: Training, tmp_path: Path) -> Path:
    directory = tmp_path / "model"
    directory.mkdir()
    baseline.save(directory)
    return directory


def _choose(plan: RunPlan, development: Path, model: Path, at: Path) -> Choice:
    return choose_step(
        plan,
        development,
        model,
        target=at / "out" / "model",
        configuration=at / "out" / "configuration.json",
        page=at / "page.html",
    )


@pytest.mark.usefixtures("untracked", "forked_search")
def test_two_workers_search_and_the_best_is_chosen_also_where_the_journal_is_lost(
    journal: Path,
    model: Path,
    development: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CHECKPOINT_DIR", str(tmp_path / "states"))
    monkeypatch.setattr("components.tune.choice.FALSE_REPLACEMENTS", ANY_FINALIST)

    space = {"dropout": [0.1, 0.2, 0.3, 0.4]}
    plan = run_plan(trials=4, tuning_workers=2, tuning_seeds=1, search_space=space)
    workers = open_study_step(plan, model)
    counts = [search_step(plan, development, model) for _ in workers]
    choice = _choose(plan, development, model, tmp_path)

    # Three screened, one trained to the end and repeated beside the baseline; nothing is left for the second worker.
    assert (workers, counts, choice.trials) == (["1/2", "2/2"], [6, 0], 4)
    states = [trial.state.name for trial in stored_study().trials]
    assert sorted(states) == ["COMPLETE", "COMPLETE", "PRUNED", "PRUNED"]
    (again,) = choice.contenders[0].accuracies
    assert again > 0
    assert choice.trial != 0
    assert choice.overrides.keys() == {"dropout"}
    assert json.loads((tmp_path / "out" / "configuration.json").read_text()) == json.loads(choice.as_json())
    lines = capfd.readouterr().out.splitlines()
    assert [line[:14] for line in lines[:4]] == [f"[tune] trial {number}" for number in range(4)]
    assert lines[-1] == f"[tune] {choice.sentence()}"
    assert choice.sentence() in html.unescape((tmp_path / "page.html").read_text())
    assert not list((tmp_path / "states").rglob("*.npz"))

    journal.write_bytes(b"something else\n")
    assert _choose(plan, development, model, tmp_path / "again") == choice
    assert (
        "the study has lost what was recorded of the search: it is searched again" in capfd.readouterr().out
    )


@pytest.mark.usefixtures("untracked", "journal")
def test_there_are_no_more_workers_than_pieces_of_work(model: Path) -> None:
    def workers(trials: int, seeds: int) -> list[str]:
        return open_study_step(run_plan(trials=trials, tuning_seeds=seeds, tuning_workers=40), model)

    assert workers(1, 3) == ["1/1"]
    assert workers(4, 1) == ["1/3", "2/3", "3/3"]
    assert workers(2, 3)[-1] == "2/2"
    assert workers(41, 3)[-1] == "40/40"


@pytest.mark.usefixtures("untracked", "journal")
def test_a_search_of_the_baseline_alone_trains_nothing(
    model: Path,
    baseline: Training,
    config: TrainConfig,
    development: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plan = run_plan(trials=1)
    open_study_step(plan, model)
    built = build_model(config, baseline.dataset.spec)
    built.save(model / MODEL_FILE)

    assert search_step(plan, tmp_path / "no data", model) == 0

    with pytest.raises(SystemExit):
        _choose(plan, development, model, tmp_path)
    assert "model.keras must have the weights w that training.json records" in capsys.readouterr().out
    baseline.model_copy(update={"weights_digest": weights_digest(built)}).save(model)
    choice = _choose(plan, development, model, tmp_path)
    assert (choice.trial, choice.trials, choice.overrides) == (0, 1, {})
    # The baseline as it is, without another training.
    kept = tmp_path / "out" / "model"
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == {
        path.name: path.read_bytes() for path in model.iterdir()
    }


@pytest.mark.usefixtures("untracked", "journal", "forked_search")
def test_the_best_training_of_the_search_is_the_model_bit_for_bit(
    baseline: Training, development: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search trains in two processes that share two cores, and pauses; a training alone does neither."""
    monkeypatch.setenv("CHECKPOINT_DIR", str(tmp_path / "states"))
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setattr("components.tune.choice.FALSE_REPLACEMENTS", ANY_FINALIST)
    config = RECIPES["fast"].differing(batch_size=128, filters=[[8]], dense_units=16, min_steps=24)
    model = tmp_path / "split"
    model.mkdir()
    baseline.model_copy(update={"config": config.model_dump(mode="json")}).save(model)
    # The smaller batch is not split, so its training has another number of threads.
    space = {"batch_size": [64, 128], "dropout": [0.1, 0.2]}
    plan = run_plan(trials=3, tuning_seeds=1, search_space=space, seeds=2)
    open_study_step(plan, model)

    search_step(plan, development, model)
    trained: list[TrainConfig] = []

    class Watched(Session):
        def _run_chunk(self, step: int) -> None:
            trained.append(self._config)
            super()._run_chunk(step)

    monkeypatch.setattr(fit, "Session", Watched)
    choice = _choose(plan, development, model, tmp_path)

    chosen = Training.load(tmp_path / "out" / "model")
    assert choice.overrides
    (further,) = repeats(tmp_path / "out" / "model")
    assert {one.seed for one in trained} == {Training.load(further).seed} == {1000}
    ForkedPython(ALONE, development, tmp_path / "alone", json.dumps(chosen.config)).output()
    again = Training.load(tmp_path / "alone")
    assert (again.weights_digest, again.runtime) == (chosen.weights_digest, chosen.runtime)
    assert [epoch.val_loss for epoch in again.history] == [epoch.val_loss for epoch in chosen.history]


@pytest.mark.usefixtures("untracked", "journal", "forked_search")
def test_gpus_that_are_missing_stop_the_search(
    model: Path, development: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plan = run_plan(trials=2, tuning_seeds=1, gpu_count=99)
    open_study_step(plan, model)

    with pytest.raises(SystemExit):
        search_step(plan, development, model)

    assert "error: the step asks for 99 GPUs" in capfd.readouterr().out
