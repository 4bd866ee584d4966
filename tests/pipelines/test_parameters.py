import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from components.common.errors import PipelineError
from components.common.plan.resolve import resolve_form, values_of
from components.common.plan.run import RunPlan
from components.common.settings import settings
from pipelines.parameters import AUTO, FORM, PLACEMENT, Request, read_plan_file, request
from pipelines.pipeline import mnist_pipeline


def test_every_parameter_of_the_pipeline_is_a_field_of_the_form_or_places_the_tasks() -> None:
    parameters = mnist_pipeline.pipeline_spec.root.input_definitions.parameters
    assert {*FORM.values(), "options", *PLACEMENT} == set(parameters)
    assert len(parameters) <= 12


def test_the_defaults_of_the_form_are_the_plans() -> None:
    inputs = mnist_pipeline.component_spec.inputs
    defaults = values_of(RunPlan(run_id="", run_name=""))
    assert {name: inputs[field].default for name, field in FORM.items()} == {
        name: defaults[name] for name in FORM
    }


@pytest.mark.parametrize(
    ("settings", "arguments"),
    [
        ([], {}),
        (["epochs=1.5"], {"options": {"training.epochs": 1.5}}),
        (["recipe=best", "trials=3"], {"recipe": "best", "trials": 3}),
        (["data=s3://bucket/a=b"], {"data": "s3://bucket/a=b"}),
        (["data_version=7", "stratify=true"], {"options": {"data.version": "7", "data.stratify": True}}),
        (["seed=1", "seed=3"], {"options": {"training.seed": 3}}),
        (["gpu_count=1", "gpu_resource=amd.com/gpu"], {"gpu_count": "1", "gpu_resource": "amd.com/gpu"}),
        (['node_selector={"pool": "gpu"}'], {"node_selector": {"pool": "gpu"}}),
        (['node_affinity={"a": [1]}'], {"node_affinity": {"a": [1]}}),
        (['tolerations=[{"key": "gpu"}]'], {"tolerations": [{"key": "gpu"}]}),
    ],
)
def test_settings_become_arguments_of_the_pipeline(settings: list[str], arguments: dict[str, Any]) -> None:
    assert request(settings).arguments() == arguments


@pytest.mark.parametrize(
    "settings",
    [
        ["epochs=0.5", "filters=[[8],[16]]", "search.trials=3", "min_accuracy=0.9", "model_name=mine"],
        [
            "recipe=seed",
            'search_space={"dropout": [0.0, 0.2], "dense_units": {"low": 16, "high": 64}}',
            "seeds=3",
            "batch_size=32",
        ],
    ],
)
def test_the_first_task_resolves_the_plan_of_the_command_line(settings: list[str]) -> None:
    asked = request(settings)
    # As Kubeflow hands them on: through JSON, with whole numbers as fractions.
    given = json.loads(json.dumps(asked.arguments()), parse_int=float)
    form = {
        name: given.get(field, mnist_pipeline.component_spec.inputs[field].default)
        for name, field in FORM.items()
    }
    first_task = resolve_form(form, given.get("options", {}), run_id="", run_name="", gpu_count=0)
    assert first_task.plan == asked.resolved().plan
    assert first_task.plan.digest() == asked.resolved().plan.digest()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("epochs", r"--set must be NAME=VALUE but got 'epochs'"),
        ("", r"--set must be NAME=VALUE but got ''"),
        ("epoch=1", r"must have a name of the plan but got 'epoch': did you mean training\.epochs"),
        ("=1", r"must have a name of the plan but got ''"),
        ("node_selector=[]", r"node_selector must be a JSON object like .* but got '\[\]'"),
        ("tolerations={}", r"tolerations must be a JSON list but got '\{\}'"),
    ],
)
def test_a_setting_that_names_nothing_is_an_error(setting: str, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        request([setting])


@pytest.fixture
def no_data_uri(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables as they are, after a test too that has them set."""
    for name in ("DATA_URI", "DATA_ALLOW_PRIVATE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("no_data_uri")
@pytest.mark.parametrize("way", ["flag", "set", "file"])
def test_an_address_that_grants_access_goes_by_a_variable(way: str, tmp_path: Path) -> None:
    address = f"https://host/letters.npz?X-Amz-Security-Token={'T' * 600}&X-Amz-Signature=c4nary"
    plan_file = tmp_path / "run.yaml"
    plan_file.write_text(json.dumps({"data": {"source": address}}) if way == "file" else "{}")
    asked = request(
        [f"data={address}"] if way == "set" else [],
        plan_file=plan_file,
        flags={"data.source": address if way == "flag" else None},
        local=True,
    )
    assert asked.arguments() == {"data": "env:DATA_URI"}
    assert settings().data_uri == address
    assert re.fullmatch("[a-z0-9-]{1,70}", asked.run_name())
    with pytest.raises(
        PipelineError, match="put the address into DATA_URI, on a cluster in the Secret"
    ) as refused:
        request([f"data={address}"]).resolved()
    assert "c4nary" not in str(refused.value)


@pytest.mark.parametrize(
    "data",
    [
        "https://host/a/%F0%9F%98%80 x/2024/",
        "s3://bucket/" + "k" * 900,
        "/data/'; drop/..",
        "env:DATA_URI",
        "//[x/y",
    ],
)
def test_a_run_has_a_short_and_clean_name(data: str) -> None:
    assert re.fullmatch("[a-z0-9][a-z0-9-]{1,70}", request([f"data={data}"]).run_name())


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("epochs=six", "training.epochs must be a number but is 'six'."),
        ("trials=1000000000", "search.trials must be at most 10000 but is 1000000000."),
        (f"seed={'9' * 5000}", "training.seed must be a whole number but is "),
        (f"search_space={'[' * 100000}", "search.space must be an object but is "),
        ("gpu_count=2000", "gpu_count must be at most 1024 but is 2000."),
        ("trials=6.5", "search.trials must be a whole number but is 6.5."),
        ("stratify=yes", "data.stratify must be true or false but is 'yes'."),
        ("stratify=1", "data.stratify must be true or false but is 1."),
        ("gpu_count=one", "gpu_count must be a whole number but got 'one': give 0 for none."),
    ],
)
def test_a_value_that_breaks_its_rule_is_an_error(setting: str, message: str) -> None:
    with pytest.raises(PipelineError) as refused:
        request([setting]).resolved()
    assert str(refused.value).startswith(message)


def test_flags_count_more_than_the_file_and_settings_more_than_flags(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("recipe: best\ntraining: {dropout: 0.3, seed: 4}\nsearch.trials: 2\n")
    asked = request(
        ["trials=5"], plan_file=file, flags={"recipe": "seed", "search.trials": 3, "data.source": None}
    )
    resolved = asked.resolved()
    assert (resolved.plan.recipe, resolved.plan.search.trials) == ("seed", 5)
    assert (resolved.plan.training.dropout, resolved.origins["training.dropout"]) == (0.3, f"file {file}")
    assert resolved.origins["recipe"] == "option"
    assert asked.arguments()["options"] == {"training.dropout": 0.3, "training.seed": 4}


def test_a_plan_file_may_hold_dates_and_short_forms(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("data_version: 2026-11-28\nsearch_space: {dropout: [0.1, 0.2]}\n")
    assert read_plan_file(file) == {"data.version": "2026-11-28", "search.space": {"dropout": [0.1, 0.2]}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"--plan must be a file that can be read but .*: No such file or directory\."),
        (b"\xff\xfe\x00", r"--plan must be a file that can be read but .*: it is no text\."),
        (b"training: {", r"--plan must be YAML or JSON but .* is not: .*\."),
        (b"- epochs", r"--plan must hold options by name but .* holds list: "),
        (b"", r"--plan must hold options by name but .* holds NoneType: "),
        (b"training: {droput: 1}", r"got 'training\.droput': did you mean training\.dropout"),
        (b"training: 3", r"must have a name of the plan but got 'training'"),
    ],
)
def test_an_unusable_plan_file_is_one_line(tmp_path: Path, content: bytes | None, message: str) -> None:
    file = tmp_path / "run.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(PipelineError, match=message) as refused:
        read_plan_file(file)
    assert "\n" not in str(refused.value)


def test_data_of_this_machine_replaces_the_source_and_names_it_unless_it_has_a_name() -> None:
    asked = request([], local=True)
    assert asked.resolved().plan.data.source == AUTO
    assert asked.on("/data", "mnist").arguments() == {"data": "/data", "options": {"data.name": "mnist"}}
    named = request(["dataset_name=own"], local=True).on("/data", "mnist")
    assert named.resolved().plan.data.name == "own"


def test_a_run_is_named_after_its_data_and_recipe() -> None:
    assert (
        request(["data=/somewhere/Fashion MNIST.npz", "recipe=best"])
        .run_name()
        .startswith("fashion-mnist-best-")
    )
    assert Request().run_name().startswith("mnist-fast-")


def test_runs_of_the_same_second_have_different_names_with_the_year(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopped(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Stopped":
            assert tz is UTC
            return cls(2026, 11, 28, 15, 4, 5, tzinfo=tz)

    monkeypatch.setattr("pipelines.parameters.datetime", Stopped)
    one, two = Request().run_name(), Request().run_name()
    assert one.startswith("mnist-fast-20261128-150405-")
    assert one != two
