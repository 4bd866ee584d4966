"""The `tune` step in its three parts: open the study, search, choose."""

from pathlib import Path

from components.common.data.dataset import open_split
from components.common.model.training_record import Training
from components.common.narration import say
from components.common.plan.run import RunPlan
from components.common.plan.training import TrainConfig
from components.common.tracking.step import step_run
from components.train.devices import require_gpus
from components.train.step import checkpoint_directory
from components.tune.choice import Choice, choose_configuration
from components.tune.halving import finalists
from components.tune.search_page import draw_figures, write_page
from components.tune.study import SearchRecord, claims, create_study, load_study
from components.tune.trials import STEP, Worker, trial_checkpoint


def open_study_step(plan: RunPlan, baseline: Path) -> list[str]:
    """Create the study with all its trials, and name the workers that share it: "1/2" is the first of two."""
    search = plan.search
    with step_run(plan.run_id, STEP, last=False) as run:
        training = Training.load(baseline)
        study = create_study(
            plan.run_id, training, search.space, search.trials, search.seeds, plan.training.seed
        )
        run.log_params(
            {"search.trials": search.trials, "search.workers": search.workers, "search.seeds": search.seeds}
        )
        first = run.child("trial 0 (baseline)", {"step": "trial", "outcome": "complete"})
        first.log_params({f"config.{name}": value for name, value in study.trials[0].params.items()})
        first.log_metrics(
            {"val_accuracy": training.validation_accuracy, "val_loss": training.validation_loss}, 100
        )
        first.close()
        say(STEP, f"trial 0 is the baseline  validation {training.validation_accuracy:.4f}")
        return [f"{number}/{search.workers}" for number in range(1, search.workers + 1)]


def search_step(plan: RunPlan, development: Path, baseline: Path) -> int:
    """Work on the search until it is over, beside other workers; return the pieces of work done here."""
    with step_run(plan.run_id, STEP, last=False) as run:
        record = SearchRecord(load_study(plan.run_id))
        if not record.known():
            return 0
        require_gpus(plan.gpu_count)
        config = TrainConfig.model_validate(Training.load(baseline).config)
        splits = open_split(development, "train"), open_split(development, "validation")
        return Worker(record, claims(), splits, config, run, state_location(plan.run_id)).work()


def choose_step(plan: RunPlan, baseline: Path, *, configuration: Path, page: Path) -> Choice:
    """Choose the best configuration; write it as JSON, and the figures of the search as an HTML page."""
    with step_run(plan.run_id, STEP) as run:
        training = Training.load(baseline)
        record = SearchRecord(load_study(plan.run_id))
        record.settle()
        for settled in record.study.trials:
            if settled.state.name == "PRUNED" and (trial_run := settled.user_attrs.get("mlflow_run_id")):
                run.nested(trial_run).set_tags({"outcome": "pruned"})
        _delete_states(plan.run_id, record)
        final = finalists(record.known())
        accuracies: dict[int, list[float]] = {0: [training.validation_accuracy]}
        accuracies |= {trial: [] for trial in final}
        for (trial, _), accuracy in sorted(record.repeats().items()):
            accuracies[trial].append(accuracy)
        choice = choose_configuration(
            TrainConfig.model_validate(training.config),
            {trial: record.options(trial) for trial in final},
            accuracies,
            len(record.study.trials),
        )
        say(STEP, choice.sentence())
        configuration.parent.mkdir(parents=True, exist_ok=True)
        configuration.write_text(choice.as_json())
        figures = draw_figures(record.study, configuration.parent / "figures")
        write_page(choice, figures, page)
        for path in [*figures.values(), configuration]:
            run.log_file(path)
        run.log_metrics({"val_accuracy": choice.validation_accuracy, "trials": choice.trials})
        run.log_metrics({"baseline_val_accuracy": choice.baseline_validation_accuracy, "noise": choice.noise})
        run.log_params({f"best.{name}": value for name, value in choice.overrides.items()})
        return choice


def _delete_states(run_id: str, record: SearchRecord) -> None:
    if location := state_location(run_id):
        for trial in record.known():
            trial_checkpoint(location, trial).delete()


def state_location(run_id: str) -> str | None:
    """Return where a run's paused trials are kept; None keeps them in their worker's memory alone."""
    directory = checkpoint_directory()
    return f"{directory}/tune-{run_id}" if directory else None
