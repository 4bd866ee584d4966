import optuna
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from components.common.compat.optuna import storage_of


def test_a_study_has_no_public_way_to_its_storage() -> None:
    assert not [name for name in vars(optuna.Study) if not name.startswith("_") and "storage" in name.lower()]
    assert not hasattr(optuna.Study, "report")


def test_ask_does_not_go_on_with_a_running_trial_and_the_storage_does() -> None:
    study = optuna.create_study()
    study.enqueue_trial({})
    study.ask()
    storage = storage_of(study)
    assert isinstance(storage, BaseStorage)
    trial = storage.get_trial_id_from_study_id_trial_number(
        storage.get_study_id_from_name(study.study_name), 0
    )

    storage.set_trial_intermediate_value(trial, 5, 0.5)

    assert study.ask().number == 1
    first = study.trials[0]
    assert (first.state, first.intermediate_values) == (TrialState.RUNNING, {5: 0.5})
