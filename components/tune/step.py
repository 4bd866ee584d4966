"""The `tune` step in its three parts: open the study, search, choose."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from components.common.data.info import DatasetInfo
from components.common.model.classifier import model_file
from components.common.model.keras_file import load_keras_file
from components.common.model.training_record import Training, repeat_directory, require_trained
from components.common.narration import say
from components.common.plan.run import RunPlan
from components.common.plan.training import SEED_STRIDE, TrainConfig
from components.common.tracking.run import StepRun
from components.common.tracking.step import step_run
from components.train.autosave import Autosave
from components.train.devices import require_gpus, training_shards, visible_gpus
from components.train.fit import fit_model, training_checkpoint
from components.train.runtime import start_tensorflow
from components.train.step import checkpoint_directory, narrator
from components.tune.choice import Choice, choose_configuration
from components.tune.claims import STEP
from components.tune.halving import finalist, repeated
from components.tune.processes import run_side_by_side
from components.tune.search_page import draw_figures, write_page
from components.tune.study import SearchRecord, claims, open_study, patient
from components.tune.trials import Worker

if TYPE_CHECKING:
    import optuna


def _open(plan: RunPlan, baseline: Training) -> "optuna.Study":
    search = plan.search
    return open_study(plan.run_id, baseline, search.space, search.trials, search.seeds, plan.training.seed)


def open_study_step(plan: RunPlan, baseline: Path) -> list[str]:
    """Create the study with all its trials, and name the workers that share it: "1/2" is the first of two.

    There are no more workers than pieces of work at a time: the trials at first, a training of finalist and baseline
    each at the end.
    """
    search = plan.search
    most = max(search.trials - 1, 2) if search.trials > 1 else 1
    workers = min(search.workers, most)
    with step_run(plan.run_id, STEP, last=False) as run:
        training = Training.load(baseline)
        study = _open(plan, training)
        run.log_params(
            {"search.trials": search.trials, "search.workers": workers, "search.seeds": search.seeds}
        )
        of_baseline = patient(lambda: study.trials[0].params)()
        first = run.child("trial 0 (baseline)", {"step": "trial", "outcome": "complete"})
        first.log_params({f"config.{name}": value for name, value in of_baseline.items()})
        first.log_metrics(
            {"val_accuracy": training.validation_accuracy, "val_loss": training.validation_loss}, 100
        )
        first.close()
        say(STEP, f"trial 0 is the baseline  validation {training.validation_accuracy:.4f}")
        return [f"{number}/{workers}" for number in range(1, workers + 1)]


def search_step(plan: RunPlan, development: Path, baseline: Path) -> int:
    """Work on the search until it is over, beside other tasks; return the pieces of work done here.

    There is one process for each shard that a batch has on these cores, or one alone with GPUs. The number of shards
    can differ between trials, and each number gets processes of its own.
    """
    if plan.search.trials == 1:
        return 0
    training = Training.load(baseline)
    done, waiting = 0, [training_shards(TrainConfig.model_validate(training.config))]
    while waiting:
        shards = waiting[0]
        at_once = 1 if plan.gpu_count else shards
        ended = run_side_by_side(at_once, _work, at_once, shards, plan, development, training)
        done += sum(count for count, _ in ended)
        # The last process to end knows most.
        waiting = ended[-1][1]
    return done


def _work(
    number: int, at_once: int, shards: int, plan: RunPlan, development: Path, training: Training
) -> tuple[int, list[int]]:
    """Do trainings in so many shards; return how many, and the numbers of shards of those that are due then."""
    with step_run(plan.run_id, STEP, last=False) as run:
        images = DatasetInfo.load(development).counts["validation"]
        record = SearchRecord(_open(plan, training), images)
        config = TrainConfig.model_validate(training.config)
        worker = Worker(record, claims(), development, config, run, checkpoint_directory())
        if not worker.waiting():
            return 0, []
        start_tensorflow(shards=shards, at_once=at_once)
        require_gpus(plan.gpu_count)
        if number and visible_gpus():
            return 0, []
        return worker.work(shards), worker.waiting()


def choose_step(
    plan: RunPlan, development: Path, baseline: Path, *, target: Path, configuration: Path, page: Path
) -> Choice:
    """Choose the best configuration, and hand its model on.

    Args:
        plan: The plan of the run.
        development: Directory with the training and the validation split.
        baseline: Directory of the baseline.
        target: Directory for the chosen model.
        configuration: File for the choice as JSON.
        page: File for the figures of the search as an HTML page.
    """
    with step_run(plan.run_id, STEP) as run:
        training, info = Training.load(baseline), DatasetInfo.load(development)
        config = TrainConfig.model_validate(training.config)
        record = SearchRecord(_open(plan, training), info.counts["validation"])
        if record.due():
            say(STEP, "the study has lost what was recorded of the search: it is searched again")
            search_step(plan, development, baseline)
        record.settle()
        record.require_tried()
        for trial_run in record.pruned_runs():
            run.nested(trial_run).set_tags({"outcome": "pruned"})
        choice = finished_choice(record, training, config)
        say(STEP, choice.sentence())
        configuration.parent.mkdir(parents=True, exist_ok=True)
        configuration.write_text(choice.as_json())
        figures = patient(draw_figures)(record.study, configuration.parent / "figures")
        write_page(choice, figures, page)
        for path in [*figures.values(), configuration]:
            run.log_file(path)
        run.log_metrics({"val_accuracy": choice.validation_accuracy, "trials": choice.trials})
        run.log_metrics(
            {"baseline_val_accuracy": choice.baseline_validation_accuracy, "needed_gain": choice.needed}
        )
        run.log_params({f"best.{name}": value for name, value in choice.overrides.items()})
        if choice.trial == 0:
            require_trained(load_keras_file(model_file(baseline)), baseline)
            shutil.copytree(baseline, target, dirs_exist_ok=True)
        _train_rest(plan, development, config.differing(**choice.overrides), target)
        for trial in record.known():
            tried = config.differing(**record.options(trial))
            if not Autosave(training_checkpoint(checkpoint_directory(), info, tried)).discard():
                break
        return choice


def finished_choice(record: SearchRecord, baseline: Training, config: TrainConfig) -> Choice:
    """Choose the best configuration of a search whose work is done.

    Args:
        record: The search.
        baseline: Record of the baseline's first training.
        config: The baseline's configuration.
    """
    final = finalist(record.known(), record.seeds, record.baseline, record.images)
    trials = len(record.known()) + 1
    if final is None:
        return choose_configuration(config, {0: [baseline.validation_accuracy]}, {}, trials, record.images)
    accuracies = repeated(record.repeats(), [0, final])
    return choose_configuration(config, accuracies, record.options(final), trials, record.images)


def _train_rest(plan: RunPlan, development: Path, config: TrainConfig, target: Path) -> None:
    """Train what `target` lacks: the model, unless the search has left its state there, and those of further seeds."""
    for number in range(plan.seeds):
        one = config.differing(seed=config.seed + SEED_STRIDE * number)
        directory = repeat_directory(target, one.seed) if number else target
        if (directory / Training.FILE).exists():
            continue
        if number:
            say(STEP, f"training {number + 1} of {plan.seeds}, seed {one.seed}")
        require_gpus(plan.gpu_count)
        fit_model(
            development,
            one,
            recipe=plan.recipe,
            target=directory,
            on_epoch=narrator(STEP, StepRun.untracked(), one, development),
            checkpoints=checkpoint_directory(),
        )
