from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from components.common.dataset import open_split
from components.common.outbox import Outbox
from components.common.tracking import TrackedRun
from components.common.trained_model import Training
from components.train.config import TrainConfig
from components.train.fit import fit
from components.tune.study import create_study, open_study
from components.tune.trials import run_trials

pytestmark = pytest.mark.usefixtures("journal")

SearchSpace = Callable[..., None]


class RecordedRun(TrackedRun):
    """Keeps what it is told, without a server."""

    def __init__(self, name: str = "tune") -> None:
        super().__init__(None, "", "", Outbox())
        self.name = name
        self.children: list[RecordedRun] = []
        self.told: dict[str, object] = {}

    def child(self, name: str, tags: Mapping[str, str] | None = None) -> "RecordedRun":
        self.children.append(RecordedRun(name))
        self.children[-1].told.update(tags or {})
        return self.children[-1]

    def log_params(self, params: Mapping[str, object]) -> None:
        self.told.update(params)

    def set_tags(self, tags: Mapping[str, object]) -> None:
        self.told.update(tags)

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        self.told.update({f"{name} {step}": value for name, value in metrics.items()})

    def close(self, status: str = "FINISHED") -> None:
        self.told["status"] = status


def _search(
    baseline: Training, development: Path, count: int, seed: int = 0
) -> tuple[optuna.Study, list[RecordedRun]]:
    create_study("run", baseline)
    study, run = open_study("run", seed), RecordedRun()
    run_trials(study, development, TrainConfig.model_validate(baseline.config), count, run)
    return study, run.children


def test_every_trial_is_trained_recorded_and_told(
    baseline: Training,
    config: TrainConfig,
    development: Path,
    search_space: SearchSpace,
    capsys: pytest.CaptureFixture[str],
) -> None:
    search_space(dropout={"low": 0.1, "high": 0.4}, batch_size=[32])

    study, runs = _search(baseline, development, 2)

    trials = study.trials[1:]
    lines = capsys.readouterr().out.splitlines()
    assert [trial.number for trial in trials] == [1, 2]
    for trial, run, line in zip(trials, runs, lines, strict=True):
        values = trial.intermediate_values
        assert trial.state is TrialState.COMPLETE
        assert list(values) == [1, 2]
        assert trial.value == values[2]
        assert run.name == f"trial {trial.number}"
        expected = {f"config.{name}": value for name, value in trial.params.items()}
        expected |= {f"val_accuracy {epoch}": accuracy for epoch, accuracy in values.items()}
        expected |= {"step": "trial", "outcome": "complete", "status": "FINISHED"}
        assert expected.items() <= run.told.items()
        assert line.startswith(
            f"[tune] trial {trial.number} complete after epoch 2  validation {max(values.values()):.4f}  best "
        )
    # The second is what it would be without the first.
    splits = open_split(development, "train"), open_split(development, "validation")
    _, history = fit(*splits, config.differing(**trials[1].params), lambda _: None)
    assert runs[1].told["val_loss 2"] == history[1].val_loss


def test_a_poor_trial_is_stopped_early(
    baseline: Training,
    development: Path,
    search_space: SearchSpace,
    capsys: pytest.CaptureFixture[str],
) -> None:
    search_space(batch_size=[32])
    study = create_study("run", baseline)
    for _ in range(2):
        study.add_trial(
            optuna.trial.create_trial(
                params={"batch_size": 32},
                distributions=study.trials[0].distributions,
                value=0.99,
                intermediate_values={1: 0.98, 2: 0.99},
            )
        )

    _, runs = _search(baseline, development, 1)

    trial = study.trials[-1]
    assert (trial.number, trial.state) == (3, TrialState.PRUNED)
    assert list(trial.intermediate_values) == [1]
    assert (runs[0].told["outcome"], runs[0].told["status"]) == ("pruned", "FINISHED")
    assert capsys.readouterr().out.startswith("[tune] trial 3 pruned after epoch 1  ")
    assert study.best_value == 0.99


def test_a_trial_that_diverges_does_not_end_the_search(
    baseline: Training, development: Path, search_space: SearchSpace
) -> None:
    search_space(learning_rate=[1e30])
    of_one_epoch = replace(baseline, config=baseline.config | {"optimizer": "sgd", "epochs": 1})

    study, runs = _search(of_one_epoch, development, 3, seed=0)

    failed = [trial.state is TrialState.FAIL for trial in study.trials[1:]]
    assert failed == [trial.params["learning_rate"] == 1e30 for trial in study.trials[1:]]
    assert len(runs) == 3
    assert [run.told["outcome"] == "failed" for run in runs] == failed
    assert [run.told["status"] == "FAILED" for run in runs] == failed
    assert (True, False) in pairwise(failed)
