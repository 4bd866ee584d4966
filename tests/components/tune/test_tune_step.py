import json
from pathlib import Path
from typing import Any

import pytest

from components.common.model.training_record import Training
from components.tune.step import choose_step, open_study_step, search_step
from components.tune.study import open_study

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

GPUS = ("0", "nvidia.com/gpu")


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

    workers = open_study_step(model, "run", 4, 2, 1, 0, {"dropout": [0.1, 0.2, 0.3, 0.4]})
    counts = [search_step(development, model, "run", *GPUS) for _ in workers]
    choice = choose_step(model, "run", tmp_path / "out" / "configuration.json", tmp_path / "page.html")

    # Three screened, one trained to the end and repeated; nothing is left for the second worker.
    assert (workers, counts, choice.trials) == (["1/2", "2/2"], [5, 0], 4)
    states = [trial.state.name for trial in open_study("run").trials]
    assert sorted(states) == ["COMPLETE", "COMPLETE", "PRUNED", "PRUNED"]
    assert choice.contenders[0].accuracies == [0.02]
    assert choice.trial != 0
    assert choice.overrides.keys() == {"dropout"}
    assert json.loads((tmp_path / "out" / "configuration.json").read_text()) == json.loads(choice.as_json())
    lines = capsys.readouterr().out.splitlines()
    assert [line[:14] for line in lines[:4]] == [f"[tune] trial {number}" for number in range(4)]
    assert lines[-1] == f"[tune] {choice.sentence()}"
    assert choice.sentence() in (tmp_path / "page.html").read_text().replace("&#x27;", "'")
    assert not list((tmp_path / "states").rglob("*.npz"))


@pytest.mark.usefixtures("untracked", "journal")
def test_a_search_of_the_baseline_alone_trains_nothing(model: Path, tmp_path: Path) -> None:
    open_study_step(model, "run", 1, 1, 2, 0, {})

    assert search_step(tmp_path / "no data", model, "run", *GPUS) == 0

    choice = choose_step(model, "run", tmp_path / "configuration.json", tmp_path / "page.html")
    assert (choice.trial, choice.trials, choice.overrides) == (0, 1, {})


@pytest.mark.usefixtures("untracked", "journal")
@pytest.mark.parametrize(
    ("trials", "workers", "seeds", "space", "message"),
    [
        (0, 1, 1, {}, "trials counts the baseline as the first, so it must be at least 1 but got 0."),
        (-2, 1, 1, {}, "trials counts the baseline as the first, so it must be at least 1 but got -2."),
        (1, 0, 1, {}, "tuning_workers must be at least 1 but got 0."),
        (1, 1, 0, {}, "tuning_seeds must be at least 1 but got 0."),
        (
            1,
            1,
            1,
            {"dropout": []},
            "search_space: dropout must list at least one value but the list is empty.",
        ),
    ],
)
def test_a_search_that_cannot_be_is_refused(
    trials: int,
    workers: int,
    seeds: int,
    space: dict[str, Any],
    message: str,
    model: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stopped:
        open_study_step(model, "run", trials, workers, seeds, 0, space)

    assert stopped.value.code == 1
    assert capsys.readouterr().out == f"[tune] error: {message}\n"


@pytest.mark.usefixtures("untracked", "journal")
def test_gpus_that_are_missing_stop_the_search(
    model: Path, development: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    open_study_step(model, "run", 2, 1, 1, 0, {})

    with pytest.raises(SystemExit):
        search_step(development, model, "run", "99", "nvidia.com/gpu")

    assert "error: the step asks for 99 GPUs" in capsys.readouterr().out
