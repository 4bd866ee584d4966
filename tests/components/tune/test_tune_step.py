import html
import json
from pathlib import Path

import pytest

from components.common.model.training_record import Training
from components.tune.step import choose_step, open_study_step, search_step
from components.tune.study import load_study
from tests.records import run_plan

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


@pytest.mark.usefixtures("untracked", "journal")
def test_two_workers_search_and_the_best_is_chosen(
    model: Path,
    development: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CHECKPOINT_DIR", str(tmp_path / "states"))

    space = {"dropout": [0.1, 0.2, 0.3, 0.4]}
    plan = run_plan(trials=4, tuning_workers=2, tuning_seeds=1, search_space=space)
    workers = open_study_step(plan, model)
    counts = [search_step(plan, development, model) for _ in workers]
    out = tmp_path / "out" / "configuration.json"
    choice = choose_step(plan, model, configuration=out, page=tmp_path / "page.html")

    # Three screened, one trained to the end and repeated; nothing is left for the second worker.
    assert (workers, counts, choice.trials) == (["1/2", "2/2"], [5, 0], 4)
    states = [trial.state.name for trial in load_study("run").trials]
    assert sorted(states) == ["COMPLETE", "COMPLETE", "PRUNED", "PRUNED"]
    assert choice.contenders[0].accuracies == [0.02]
    assert choice.trial != 0
    assert choice.overrides.keys() == {"dropout"}
    assert json.loads((tmp_path / "out" / "configuration.json").read_text()) == json.loads(choice.as_json())
    lines = capsys.readouterr().out.splitlines()
    assert [line[:14] for line in lines[:4]] == [f"[tune] trial {number}" for number in range(4)]
    assert lines[-1] == f"[tune] {choice.sentence()}"
    assert choice.sentence() in html.unescape((tmp_path / "page.html").read_text())
    assert not list((tmp_path / "states").rglob("*.npz"))


@pytest.mark.usefixtures("untracked", "journal")
def test_a_search_of_the_baseline_alone_trains_nothing(model: Path, tmp_path: Path) -> None:
    plan = run_plan(trials=1)
    open_study_step(plan, model)

    assert search_step(plan, tmp_path / "no data", model) == 0

    choice = choose_step(
        plan, model, configuration=tmp_path / "configuration.json", page=tmp_path / "page.html"
    )
    assert (choice.trial, choice.trials, choice.overrides) == (0, 1, {})


@pytest.mark.usefixtures("untracked", "journal")
def test_gpus_that_are_missing_stop_the_search(
    model: Path, development: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = run_plan(trials=2, tuning_seeds=1, gpu_count=99)
    open_study_step(plan, model)

    with pytest.raises(SystemExit):
        search_step(plan, development, model)

    assert "error: the step asks for 99 GPUs" in capsys.readouterr().out
