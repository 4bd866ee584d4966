import json
from collections.abc import Callable
from pathlib import Path

import pytest

from components.common.trained_model import Training
from components.tune.step import choose_step, open_study_step, search_step, share
from components.tune.study import open_study

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

GPUS = (0, "nvidia.com/gpu")


@pytest.fixture
def untracked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def model(baseline: Training, tmp_path: Path) -> Path:
    directory = tmp_path / "model"
    directory.mkdir()
    baseline.save(directory)
    return directory


@pytest.mark.parametrize(
    ("trials", "shares"),
    [(0, [0]), (5, [5]), (5, [3, 2]), (5, [2, 2, 1]), (6, [2, 2, 2]), (1, [1, 0, 0]), (0, [0, 0])],
)
def test_workers_share_the_trials(trials: int, shares: list[int]) -> None:
    workers = len(shares)

    assert [share(trials, f"{number}/{workers}") for number in range(1, workers + 1)] == shares
    assert sum(shares) == trials


@pytest.mark.usefixtures("untracked", "journal")
def test_two_workers_search_and_the_best_is_chosen(
    model: Path,
    development: Path,
    search_space: Callable[..., None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    search_space(dropout={"low": 0.0, "high": 0.4})

    workers = open_study_step(model, "run", trials=3, workers=2)
    counts = [search_step(development, model, "run", 3, worker, 0, *GPUS) for worker in workers]
    choice = choose_step(model, "run", tmp_path / "out" / "configuration.json", tmp_path / "page.html")

    assert (workers, counts, choice.trials) == (["1/2", "2/2"], [1, 1], 3)
    trials = open_study("run", seed=0).trials
    assert trials[1].params != trials[2].params
    assert choice.baseline_validation_accuracy == 0.02
    assert choice.validation_accuracy >= 0.02
    assert json.loads((tmp_path / "out" / "configuration.json").read_text()) == json.loads(choice.as_json())
    lines = capsys.readouterr().out.splitlines()
    assert [line[:14] for line in lines[:3]] == ["[tune] trial 0", "[tune] trial 1", "[tune] trial 2"]
    assert lines[3:] == [f"[tune] {choice.sentence()}"]
    assert choice.sentence() in (tmp_path / "page.html").read_text().replace("&#x27;", "'")


@pytest.mark.usefixtures("untracked", "journal")
def test_a_search_of_the_baseline_alone_trains_nothing(model: Path, tmp_path: Path) -> None:
    (worker,) = open_study_step(model, "run", trials=1, workers=1)

    assert search_step(tmp_path / "no data", model, "run", 1, worker, 0, *GPUS) == 0

    choice = choose_step(model, "run", tmp_path / "configuration.json", tmp_path / "page.html")
    assert (choice.trial, choice.trials, choice.overrides) == (0, 1, {})


@pytest.mark.usefixtures("untracked", "journal")
@pytest.mark.parametrize(
    ("trials", "workers", "message"),
    [
        (0, 1, "trials counts the baseline as the first, so it must be at least 1 but got 0."),
        (-2, 1, "trials counts the baseline as the first, so it must be at least 1 but got -2."),
        (1, 0, "tuning_workers must be at least 1 but got 0."),
    ],
)
def test_a_search_without_trials_or_workers_is_refused(
    trials: int, workers: int, message: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        open_study_step(model, "run", trials, workers)

    assert stopped.value.code == 1
    assert capsys.readouterr().out == f"[tune] error: {message}\n"


@pytest.mark.usefixtures("untracked", "journal")
def test_gpus_that_are_missing_stop_the_search(
    model: Path, development: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    open_study_step(model, "run", 2, 1)

    with pytest.raises(SystemExit):
        search_step(development, model, "run", 2, "1/1", 0, 99, "nvidia.com/gpu")

    assert "error: the step asks for 99 nvidia.com/gpu" in capsys.readouterr().out
