from collections.abc import Callable

import pytest
from optuna.trial import TrialState

from components.common.errors import PipelineError
from components.common.model.training_record import Training
from components.common.plan.space import SEARCH_SPACE
from components.common.plan.training import RECIPES
from components.tune.halving import Known
from components.tune.study import SearchRecord, create_study, load_study, storage


@pytest.mark.usefixtures("any_storage")
def test_the_baseline_is_the_first_trial_and_the_others_wait(baseline: Training) -> None:
    create_study("run", baseline, SEARCH_SPACE, trials=4, seeds=2, seed=0)

    first, *others = load_study("run").trials
    assert (first.number, first.state, first.value) == (0, TrialState.COMPLETE, 0.02)
    assert first.params.keys() == SEARCH_SPACE.keys()
    assert first.user_attrs == {"name": "baseline", "seconds": 2.0, "number": 0}
    assert [trial.state for trial in others] == [TrialState.WAITING] * 3
    record = SearchRecord(load_study("run"))
    assert (record.seeds, record.known()) == (2, {n: Known() for n in (1, 2, 3)})


@pytest.mark.usefixtures("any_storage")
def test_what_is_recorded_is_known_to_others(baseline: Training) -> None:
    create_study("run", baseline, SEARCH_SPACE, trials=4, seeds=1, seed=0)
    record, other = SearchRecord(load_study("run")), SearchRecord(load_study("run"))

    for trial in (1, 2, 3):
        record.start(trial)
    record.score(1, 0, 0.5)
    record.score(1, 1, 0.75)
    record.score(2, 0, 0.25)
    record.fail(3)
    record.repeated(1, 2, 0.875)

    assert other.known() == {1: Known({0: 0.5, 1: 0.75}), 2: Known({0: 0.25}), 3: Known(failed=True)}
    assert other.repeats() == {(1, 2): 0.875}
    for settling in (record, other):
        settling.settle()
    states = [trial.state.name for trial in load_study("run").trials]
    assert states == ["COMPLETE", "COMPLETE", "PRUNED", "FAIL"]
    assert load_study("run").best_value == 0.75


@pytest.mark.usefixtures("journal")
def test_the_same_arguments_make_the_same_trials(baseline: Training) -> None:
    one, two, other = (
        create_study(name, baseline, SEARCH_SPACE, 6, 1, seed)
        for name, seed in (("one", 7), ("two", 7), ("three", 8))
    )

    assert [trial.params for trial in one.trials] == [trial.params for trial in two.trials]
    assert all(a.params != b.params for a, b in zip(one.trials[1:], other.trials[1:], strict=True))


@pytest.mark.usefixtures("journal")
def test_a_study_that_was_begun_is_kept_and_completed(baseline: Training) -> None:
    create_study("run", baseline, SEARCH_SPACE, trials=3, seeds=1, seed=0)
    SearchRecord(load_study("run")).score(1, 0, 0.5)

    again = create_study(
        "run",
        baseline.model_copy(update={"validation_accuracy": 0.5}),
        SEARCH_SPACE,
        trials=5,
        seeds=1,
        seed=0,
    )

    fresh = create_study("fresh", baseline, SEARCH_SPACE, trials=5, seeds=1, seed=0)
    assert [trial.params for trial in again.trials] == [trial.params for trial in fresh.trials]
    assert SearchRecord(again).known()[1] == Known({0: 0.5})
    assert again.trials[0].value == 0.02


@pytest.mark.usefixtures("journal")
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_baseline_from_any_recipe_is_accepted(recipe: str, baseline: Training) -> None:
    config = RECIPES[recipe].model_dump(mode="json")

    study = create_study("run", baseline.model_copy(update={"config": config}), SEARCH_SPACE, 2, 1, 0)

    assert SearchRecord(study).options(0) == {name: config[name] for name in SEARCH_SPACE}


@pytest.mark.parametrize("scheme", ["sqlite", "mysql+pymysql"])
def test_other_databases_are_refused(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPTUNA_STORAGE", f"{scheme}://user:pass@db/optuna")

    with pytest.raises(PipelineError, match="must be a postgresql:// URL .* but is a ") as refused:
        storage()
    assert "pass" not in str(refused.value)


@pytest.mark.parametrize(
    "use", [lambda _: storage(), lambda baseline: create_study("run", baseline, SEARCH_SPACE, 2, 1, 0)]
)
def test_a_storage_must_be_named(
    use: Callable[[Training], object], baseline: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPTUNA_STORAGE", raising=False)

    with pytest.raises(PipelineError, match=r"^OPTUNA_STORAGE must name .* is not set: give a postgresql://"):
        use(baseline)


@pytest.mark.parametrize(
    ("where", "kind", "shown", "way_out"),
    [
        (
            "/nowhere/study.journal",
            "file",
            "/nowhere/study.journal",
            "create the directory, or correct the path.",
        ),
        (
            "postgresql://user:password@127.0.0.1:9/optuna",
            "storage",
            "127.0.0.1:9/optuna",
            "start the database, or correct the address.",
        ),
    ],
)
def test_a_storage_that_does_not_open_is_refused_in_one_line(
    where: str, kind: str, shown: str, way_out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPTUNA_STORAGE", where)

    with pytest.raises(PipelineError) as refused:
        storage()

    message = str(refused.value)
    assert message.startswith(f"OPTUNA_STORAGE must be a {kind} that opens but '{shown}' does not (")
    assert message.endswith(f"): {way_out}")
    assert "\n" not in message
    assert "pass" not in message
