from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from components.common.errors import PipelineError
from components.common.trained_model import Training
from components.train.config import RECIPES, TrainConfig
from components.tune.space import SEARCH_SPACE, distributions, suggest
from components.tune.study import create_study, open_study, storage


@pytest.fixture(params=["{}", "sqlite:///{}"], ids=["journal", "database"])
def any_storage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTUNA_STORAGE", request.param.format(tmp_path / "study"))


@pytest.mark.usefixtures("any_storage")
@pytest.mark.filterwarnings("ignore:Argument ``heartbeat_interval``")
def test_the_baseline_is_the_first_trial(baseline: Training) -> None:
    create_study("run", baseline)

    (trial,) = open_study("run", seed=0).trials
    assert (trial.number, trial.state, trial.value) == (0, TrialState.COMPLETE, 0.02)
    assert trial.params == {name: baseline.config[name] for name in SEARCH_SPACE}
    assert trial.intermediate_values == {1: 0.01, 2: 0.02}
    assert trial.user_attrs == {"name": "baseline", "seconds": 2.0}


@pytest.mark.usefixtures("any_storage")
@pytest.mark.filterwarnings("ignore:Argument ``heartbeat_interval``", "ignore:Heartbeat of storage")
def test_a_study_that_exists_is_kept(baseline: Training) -> None:
    study = create_study("run", baseline)
    study.tell(study.ask(), 0.9)

    again = create_study("run", replace(baseline, validation_accuracy=0.5))

    assert [trial.value for trial in again.trials] == [0.02, 0.9]


@pytest.mark.usefixtures("journal")
def test_runs_have_studies_of_their_own(baseline: Training) -> None:
    create_study("one", baseline)
    create_study("other", replace(baseline, validation_accuracy=0.5))

    assert [open_study(name, seed=0).best_value for name in ("one", "other")] == [0.02, 0.5]


@pytest.mark.usefixtures("journal")
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_baseline_from_any_recipe_is_accepted(recipe: str, baseline: Training) -> None:
    config = RECIPES[recipe].model_dump(mode="json")

    study = create_study("run", replace(baseline, config=config))

    assert study.best_params == {name: config[name] for name in SEARCH_SPACE}


def _suggestions(name: str, seed: int, config: TrainConfig, count: int) -> list[dict[str, Any]]:
    """Ask for trials as a worker does; the more dropout, the better."""
    study, space = open_study(name, seed), distributions(SEARCH_SPACE, config)
    suggested = []
    for _ in range(count):
        trial = study.ask()
        suggested.append(suggest(trial, space))
        study.tell(trial, trial.params["dropout"])
    return suggested


@pytest.mark.usefixtures("journal")
def test_suggestions_depend_on_the_seed_alone(baseline: Training, config: TrainConfig) -> None:
    for name in ("one", "two", "three"):
        create_study(name, baseline)
    first = _suggestions("one", 7, config, 8)

    assert _suggestions("two", 7, config, 8) == first
    others = _suggestions("three", 8, config, 8)
    assert all(other != suggestion for other, suggestion in zip(others, first, strict=True))


@pytest.mark.usefixtures("journal")
def test_workers_share_the_study(baseline: Training, config: TrainConfig) -> None:
    create_study("run", baseline)

    with ThreadPoolExecutor(2) as workers:
        shares = list(workers.map(lambda seed: _suggestions("run", seed, config, 10), (1, 2)))

    trials = open_study("run", seed=0).trials
    assert [trial.number for trial in trials] == list(range(21))
    assert all(trial.state is TrialState.COMPLETE for trial in trials)
    recorded = [trial.params for trial in trials[1:]]
    assert all(suggestion in recorded for share in shares for suggestion in share)
    assert all(suggestion not in shares[1] for suggestion in shares[0])


@pytest.mark.parametrize("use", [lambda _: storage(), lambda baseline: create_study("run", baseline)])
def test_a_storage_must_be_named(
    use: Callable[[Training], object], baseline: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPTUNA_STORAGE", raising=False)

    with pytest.raises(PipelineError, match=r"^OPTUNA_STORAGE must name .* is not set: give a postgresql://"):
        use(baseline)


@pytest.mark.filterwarnings("ignore:Argument ``heartbeat_interval``")
@pytest.mark.parametrize(
    ("where", "shown"),
    [
        ("/nowhere/study.journal", "/nowhere/study.journal"),
        ("sqlite:////nowhere/study.db", "sqlite:////nowhere/study.db"),
        ("nosuchdatabase://user:pass@word@db:5432/optuna", "db:5432/optuna"),
        ("postgresql://user:password@127.0.0.1:9/optuna", "127.0.0.1:9/optuna"),
    ],
)
def test_a_storage_that_does_not_open_is_refused_in_one_line(
    where: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTUNA_STORAGE", where)

    with pytest.raises(PipelineError) as refused:
        storage()

    message = str(refused.value)
    assert message.startswith(f"OPTUNA_STORAGE must be a storage that opens but '{shown}' does not: ")
    assert "\n" not in message
    assert "pass" not in message
