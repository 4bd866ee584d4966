from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from optuna.trial import TrialState

from components.common.errors import TRY_AGAIN, PipelineError, UnavailableError
from components.common.model.training_record import Training
from components.common.plan.space import SEARCH_SPACE
from components.common.plan.training import RECIPES
from components.common.settings import settings
from components.train.session import DivergedError
from components.tune.halving import Known, Repeat
from components.tune.study import LostStudyError, SearchRecord, open_study, storage
from tests.records import stored_study


@pytest.mark.usefixtures("any_storage")
def test_the_baseline_is_the_first_trial_and_the_others_wait(baseline: Training) -> None:
    open_study("run", baseline, SEARCH_SPACE, trials=4, seeds=2, seed=0)

    first, *others = stored_study().trials
    assert (first.number, first.state, first.value) == (0, TrialState.COMPLETE, 0.0)
    assert first.params.keys() == SEARCH_SPACE.keys()
    assert first.user_attrs == {"name": "baseline", "seconds": 2.0, "number": 0}
    assert [trial.state for trial in others] == [TrialState.WAITING] * 3
    record = SearchRecord(stored_study(), images=1000)
    assert (record.seeds, record.known()) == (2, {n: Known() for n in (1, 2, 3)})


@pytest.mark.usefixtures("any_storage")
def test_what_is_recorded_is_known_to_others(baseline: Training) -> None:
    open_study("run", baseline, SEARCH_SPACE, trials=4, seeds=1, seed=0)
    record, other = SearchRecord(stored_study(), images=1000), SearchRecord(stored_study(), images=1000)

    for trial in (1, 2, 3):
        record.start(trial)
    record.score(1, 0, 0.5)
    record.score(1, 1, 0.75)
    record.score(2, 0, 0.25)
    record.fail(3, DivergedError("the loss must stay finite but was inf"))
    record.repeated(1, 2, 0.875)

    assert other.known() == {1: Known({0: 0.5, 1: 0.75}), 2: Known({0: 0.25}), 3: Known(failed=True)}
    assert other.repeats() == {(1, 2): 0.875}
    for settling in (record, other):
        settling.settle()
    states = [trial.state.name for trial in stored_study().trials]
    assert states == ["COMPLETE", "COMPLETE", "PRUNED", "FAIL"]
    assert stored_study().best_value == 0.75


@pytest.mark.usefixtures("journal")
def test_the_same_arguments_make_the_same_trials(baseline: Training) -> None:
    one, two, other = (
        open_study(name, baseline, SEARCH_SPACE, 6, 1, seed)
        for name, seed in (("one", 7), ("two", 7), ("three", 8))
    )

    assert [trial.params for trial in one.trials] == [trial.params for trial in two.trials]
    assert all(a.params != b.params for a, b in zip(one.trials[1:], other.trials[1:], strict=True))


@pytest.mark.usefixtures("journal")
def test_a_study_that_was_begun_is_kept_and_completed(baseline: Training) -> None:
    open_study("run", baseline, SEARCH_SPACE, trials=3, seeds=1, seed=0)
    SearchRecord(stored_study(), images=1000).score(1, 0, 0.5)

    again = open_study(
        "run",
        baseline.model_copy(update={"validation_accuracy": 0.5}),
        SEARCH_SPACE,
        trials=5,
        seeds=1,
        seed=0,
    )

    fresh = open_study("fresh", baseline, SEARCH_SPACE, trials=5, seeds=1, seed=0)
    assert [trial.params for trial in again.trials] == [trial.params for trial in fresh.trials]
    assert SearchRecord(again, images=1000).known()[1] == Known({0: 0.5})
    assert again.trials[0].value == 0.0


@pytest.mark.usefixtures("journal")
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_baseline_from_any_recipe_is_accepted(recipe: str, baseline: Training) -> None:
    config = RECIPES[recipe].model_dump(mode="json")

    study = open_study("run", baseline.model_copy(update={"config": config}), SEARCH_SPACE, 2, 1, 0)

    assert SearchRecord(study, images=1000).options(0) == {name: config[name] for name in SEARCH_SPACE}


@pytest.mark.parametrize("scheme", ["sqlite", "mysql+pymysql"])
def test_other_databases_are_refused(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTUNA_STORAGE", f"{scheme}://user:pass@db/optuna")

    with pytest.raises(PipelineError, match="must be a postgresql:// URL .* but is a ") as refused:
        storage()
    assert "pass" not in str(refused.value)


@pytest.mark.parametrize(
    "use", [lambda _: storage(), lambda baseline: open_study("run", baseline, SEARCH_SPACE, 2, 1, 0)]
)
def test_a_storage_must_be_named(
    use: Callable[[Training], object], baseline: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPTUNA_STORAGE", raising=False)

    with pytest.raises(PipelineError, match=r"^OPTUNA_STORAGE must name .* is not set: give a postgresql://"):
        use(baseline)


def test_a_journal_that_does_not_open_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTUNA_STORAGE", "/nowhere/study.journal")

    with pytest.raises(PipelineError) as refused:
        storage()

    message = str(refused.value)
    assert message.startswith(
        "OPTUNA_STORAGE must be a file that opens but '/nowhere/study.journal' does not ("
    )
    assert message.endswith("): create the directory, or correct the path.")
    assert "\n" not in message


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    "address",
    [
        "postgresql://nobody:password@{0.hostname}:{0.port}{0.path}",
        "postgresql://{0.path}?host={0.hostname}&port={0.port}&user=nobody&password=password",
    ],
    ids=["before the host", "in the query"],
)
def test_a_database_that_refuses_is_a_mistake(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTUNA_STORAGE", address.format(urlsplit(settings().optuna_storage or "")))

    with pytest.raises(PipelineError, match="must be a storage that opens .* does not exist") as refused:
        storage()
    assert "password" not in str(refused.value)


def test_a_database_that_is_away_is_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTUNA_STORAGE", "postgresql://user:password@127.0.0.1:9/optuna")
    monkeypatch.setenv("OUTAGE_SECONDS", "0")

    with pytest.raises(UnavailableError, match="^the database of the study must answer but does not") as away:
        stored_study()
    assert "password" not in str(away.value)
    assert "\n" not in str(away.value)


@pytest.mark.usefixtures("journal")
@pytest.mark.parametrize(
    ("failed", "chosen"),
    [
        ([PipelineError("training.batch_size must be a multiple of 3.")] * 2, False),
        ([PipelineError("one"), PipelineError("another")], True),
        ([DivergedError("the loss must stay finite but was inf")] * 3, True),
    ],
    ids=["for one reason", "for several", "by themselves"],
)
def test_a_search_that_was_not_made_chooses_nothing(
    failed: list[PipelineError], chosen: bool, baseline: Training
) -> None:
    open_study("run", baseline, SEARCH_SPACE, trials=4, seeds=1, seed=0)
    record = SearchRecord(stored_study(), images=1000)
    for trial, error in enumerate(failed, start=1):
        record.start(trial)
        record.fail(trial, error)

    if chosen:
        record.require_tried()
    else:
        with pytest.raises(PipelineError, match=r"but 2 of 3 were refused because training\.batch_size must"):
            record.require_tried()


def _searched(baseline: Training) -> SearchRecord:
    """Search to the end, with made-up scores."""
    record = SearchRecord(open_study("run", baseline, SEARCH_SPACE, trials=6, seeds=1, seed=0), images=1000)
    while jobs := record.due():
        job = jobs[0]
        if isinstance(job, Repeat):
            record.repeated(job.trial, job.shift, 0.5)
            continue
        record.start(job.trial)
        if job.trial == 3:
            record.fail(3, DivergedError("the loss must stay finite but was inf"))
        else:
            record.score(job.trial, job.rung, 0.5 + job.trial / 10)
    record.settle()
    record.require_tried()
    return record


def test_a_search_that_lost_any_entry_of_its_journal_comes_to_the_same_end(
    baseline: Training, journal: Path
) -> None:
    expected = _searched(baseline).known()
    entries = journal.read_bytes().splitlines(keepends=True)
    for lost in range(len(entries)):
        journal.write_bytes(b"".join(entries[:lost] + entries[lost + 1 :]))
        assert _searched(baseline).known() == expected


@pytest.mark.parametrize("damage", [b"", b"<html>\n" * 900])
def test_a_journal_that_is_damaged_under_a_worker_ends_its_task_which_is_tried_again(
    baseline: Training, journal: Path, damage: bytes
) -> None:
    record = SearchRecord(open_study("run", baseline, SEARCH_SPACE, trials=6, seeds=1, seed=0), images=1000)
    journal.write_bytes(damage)

    def work() -> None:
        record.start(1)
        record.score(1, 0, 0.5)

    with pytest.raises(
        LostStudyError, match=r"^the study must hold what was written into it but does not \(.*\.$"
    ):
        work()
    assert LostStudyError.exit_status == TRY_AGAIN
    assert len(_searched(baseline).known()) == 5
