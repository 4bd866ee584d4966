"""The `tune` step in its three parts: open the study, search, choose."""

from pathlib import Path

from components.common.errors import PipelineError
from components.common.step import say
from components.common.tracking import step_run
from components.common.trained_model import Training
from components.train.config import TrainConfig
from components.train.gpu import require_gpus
from components.tune.choose import Choice, choose
from components.tune.search_page import draw_figures, write_page
from components.tune.study import create_study, open_study
from components.tune.trials import run_trials

STEP = "tune"


def check_search(trials: int, workers: int) -> None:
    """Refuse a search without trials or workers."""
    if trials < 1:
        raise PipelineError(
            f"trials counts the baseline as the first, so it must be at least 1 but got {trials}."
        )
    if workers < 1:
        raise PipelineError(f"tuning_workers must be at least 1 but got {workers}.")


def open_study_step(baseline: Path, pipeline_run_id: str, trials: int, workers: int) -> list[str]:
    """Create the study, and name the workers that share it: "1/2" is the first of two."""
    with step_run(pipeline_run_id, STEP, last=False) as run:
        check_search(trials, workers)
        training = Training.load(baseline)
        study = create_study(pipeline_run_id, training)
        run.log_params({"search.trials": trials, "search.workers": workers})
        first = run.child("trial 0 (baseline)", {"step": "trial", "outcome": "complete"})
        first.log_params({f"config.{name}": value for name, value in study.trials[0].params.items()})
        for epoch in training.history:
            first.log_metrics({"val_accuracy": epoch.val_accuracy, "val_loss": epoch.val_loss}, epoch.epoch)
        first.close()
        say(STEP, f"trial 0 is the baseline  validation {training.validation_accuracy:.4f}")
        return [f"{number}/{workers}" for number in range(1, workers + 1)]


def share(trials: int, worker: str) -> int:
    """Return how many of `trials` belong to the worker "i/n"; the first workers take the remainder.

    >>> [share(5, worker) for worker in ("1/3", "2/3", "3/3")]
    [2, 2, 1]
    """
    index, workers = map(int, worker.split("/"))
    return trials // workers + (index <= trials % workers)


def search_step(
    development: Path,
    baseline: Path,
    pipeline_run_id: str,
    trials: int,
    worker: str,
    seed: int,
    gpu_count: int,
    gpu_resource: str,
) -> int:
    """Run one worker's share of the trials, all but the baseline's; return how many."""
    count = share(trials - 1, worker)
    if count:
        with step_run(pipeline_run_id, STEP, last=False) as run:
            require_gpus(gpu_count, gpu_resource)
            config = TrainConfig.model_validate(Training.load(baseline).config)
            study = open_study(pipeline_run_id, seed + int(worker.split("/", maxsplit=1)[0]))
            run_trials(study, development, config, count, run)
    return count


def choose_step(baseline: Path, pipeline_run_id: str, configuration: Path, page: Path) -> Choice:
    """Choose the best configuration; write it as JSON, and the figures of the search as an HTML page."""
    with step_run(pipeline_run_id, STEP) as run:
        config = TrainConfig.model_validate(Training.load(baseline).config)
        study = open_study(pipeline_run_id, seed=0)
        choice = choose(study, config)
        say(STEP, choice.sentence())
        configuration.parent.mkdir(parents=True, exist_ok=True)
        configuration.write_text(choice.as_json())
        figures = draw_figures(study, configuration.parent / "figures")
        write_page(choice, figures, page)
        for path in [*figures.values(), configuration]:
            run.log_file(path)
        run.log_metrics({"val_accuracy": choice.validation_accuracy, "trials": choice.trials})
        run.log_params({f"best.{name}": value for name, value in choice.overrides.items()})
        return choice
