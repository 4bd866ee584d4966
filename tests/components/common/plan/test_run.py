from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from components.common.errors import PipelineError
from components.common.plan.resolve import OPTIONS, resolve, values_of
from components.common.plan.run import RunPlan

# Another valid value for every option that is none of the section `training`, which has a test of its own.
OTHERS: dict[str, Any] = {
    "recipe": "best",
    "seeds": 3,
    "data.source": "digits",
    "data.name": "other",
    "data.sha256": "0" * 64,
    "data.version": "2",
    "data.subset": "emnist-letters",
    "data.size": 64,
    "data.transpose": True,
    "data.labelled_share": 0.5,
    "data.fraction": 0.5,
    "data.stratify": True,
    "data.split_seed": 1,
    "search.trials": 2,
    "search.workers": 2,
    "search.seeds": 1,
    "search.space": {"dropout": [0.1]},
    "gate.min_accuracy": 0.5,
    "gate.promote": "as-accurate",
    "gate.margin": 0.01,
    "gate.skip_if_unchanged": True,
    "registry.model": "model",
    "registry.allow_unsigned": True,
    "registry.approval": "required",
    "registry.experiment": "experiment",
}
# The data's digest stands for the data, and the rest shapes no model.
NOT_IN_DIGEST = {
    "data.source",
    "data.name",
    "data.sha256",
    "data.version",
    "data.subset",
    "data.size",
    "data.transpose",
    "data.labelled_share",
    "gate.min_accuracy",
    "gate.promote",
    "gate.margin",
    "gate.skip_if_unchanged",
    "registry.model",
    "registry.allow_unsigned",
    "registry.approval",
    "registry.experiment",
}


def _digest(**options: Any) -> str:
    return resolve([("test", options)]).plan.digest()


def test_the_digest_covers_what_shapes_a_model_and_nothing_else() -> None:
    assert OTHERS.keys() == {name for name in OPTIONS if not name.startswith("training.")}
    plain = _digest()
    assert {name for name, value in OTHERS.items() if _digest(**{name: value}) == plain} == NOT_IN_DIGEST
    assert _digest(dropout=0.1) != plain


def test_the_digest_is_that_of_the_plan_and_not_of_the_run() -> None:
    one = resolve([], run_id="1", run_name="one", gpu_count=0).plan
    other = resolve([], run_id="2", run_name="two", gpu_count=4).plan
    assert one.digest() == other.digest()
    assert one.named("digits", "now").digest() == one.digest()


def test_the_data_decides_the_names_that_were_left_open() -> None:
    plan = resolve([]).plan.named("fashion", "7")
    assert (plan.data.name, plan.data.version, plan.model_name) == ("fashion", "7", "fashion-cnn")
    assert resolve([("test", {"model_name": "own"})]).plan.named("fashion", "").model_name == "own"
    with pytest.raises(PipelineError, match=r"registry\.model must be known"):
        _ = resolve([]).plan.model_name


def test_a_plan_survives_its_file_and_is_frozen(tmp_path: Path) -> None:
    plan = resolve([("test", OTHERS)], run_id="1", run_name="one", gpu_count=1).plan
    plan.save(tmp_path)
    again = RunPlan.load(tmp_path)
    assert (again, values_of(again)) == (plan, values_of(plan))
    with pytest.raises(ValidationError, match="frozen"):
        plan.seeds = 2


def test_a_file_that_is_no_plan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        PipelineError, match=r"run\.json must exist but does not: run the step that writes it"
    ):
        RunPlan.load(tmp_path)
    (tmp_path / "run.json").write_text('{"run_id": "1", "run_name": "one", "surplus": 1}')
    with pytest.raises(PipelineError, match=r"run\.json must be as its step wrote it but surplus: "):
        RunPlan.load(tmp_path)
