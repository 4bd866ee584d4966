"""Does a run end early exactly where it would make the champion again?"""

import dataclasses
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from components.common.data.dataset import Split, read_info, write_splits
from components.common.model.training_record import MODEL_FILE, Training
from components.common.provenance import code_digest
from components.common.tracking.run import find_pipeline_run, open_pipeline_run, step_run
from components.register import check_step
from components.register.changes import parameters_digest
from components.register.check_step import check_changes_step
from components.register.step import register_step

if TYPE_CHECKING:
    from mlflow import MlflowClient

PARAMETERS = {"recipe": "fast", "epochs": 0, "seed": 7}
TEST_DIGEST = "c" * 64


@pytest.fixture
def make_run(mlflow_client: "MlflowClient") -> Callable[..., str]:
    """Open a pipeline run in which `preprocess` has told the test split's digest."""
    assert mlflow_client is not None

    def make(test_digest: str = TEST_DIGEST) -> str:
        run_id = uuid.uuid4().hex
        open_pipeline_run(run_id, "stripes-fast", "changes")
        with step_run(run_id, "preprocess") as run:
            run.parent.set_tags({"test_digest": test_digest})
        return run_id

    return make


@pytest.fixture
def make_development(make_split: Callable[..., Split], tmp_path: Path) -> Callable[[int], Path]:
    def make(seed: int) -> Path:
        directory = tmp_path / f"development-{seed}-{uuid.uuid4().hex}"
        splits = {"train": make_split(20, seed)}
        write_splits(directory, splits, name="stripes", source="here", version=str(seed), split_seed=23)
        return directory

    return make


@pytest.fixture
def development(make_development: Callable[[int], Path]) -> Path:
    return make_development(0)


@pytest.fixture
def name(mlflow_client: "MlflowClient", development: Path) -> str:
    """A registered model whose champion was made of `development` and `PARAMETERS`."""
    name = f"model-{uuid.uuid4().hex}"
    tags = {
        "data_digest": read_info(development).digest,
        "test_digest": TEST_DIGEST,
        "code_digest": code_digest(),
        "parameters_digest": parameters_digest(PARAMETERS),
    }
    mlflow_client.create_registered_model(name)
    mlflow_client.create_model_version(name, "s3://models/champion", tags=tags)
    mlflow_client.set_registered_model_alias(name, "champion", "1")
    return name


def test_what_register_writes_on_a_version_is_recognized(
    make_run: Callable[..., str], development: Path, candidate: Path, evaluation: Path, tmp_path: Path
) -> None:
    name, run_id, made = f"model-{uuid.uuid4().hex}", make_run(), tmp_path / "made"
    made.mkdir()
    (made / MODEL_FILE).symlink_to(candidate / MODEL_FILE)
    trained_on = read_info(development).digest
    dataclasses.replace(Training.load(candidate), dataset_digest=trained_on).save(made)

    first = check_changes_step(development, run_id, name, skip_if_unchanged=True, parameters=PARAMETERS)
    register_step(made, evaluation, run_id, name)
    second = check_changes_step(development, make_run(), name, skip_if_unchanged=True, parameters=PARAMETERS)
    assert (first, second) == ("train", "skip")


def test_a_run_that_would_make_the_champion_again_ends_early_and_says_so(
    mlflow_client: "MlflowClient",
    make_run: Callable[..., str],
    development: Path,
    name: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_id = make_run()
    assert (
        check_changes_step(development, run_id, name, skip_if_unchanged=True, parameters=PARAMETERS) == "skip"
    )
    why = f"data, code and parameters are those of the champion, {name} version 1"
    assert f"[check-changes] nothing to do: {why}\n" in capsys.readouterr().out
    parent = find_pipeline_run(mlflow_client, run_id)
    assert parent is not None
    assert (parent.data.tags["decision"], parent.data.tags["decision_reasons"]) == ("skip", why)


@pytest.mark.parametrize(
    ("differing", "changed"),
    [
        ({"seed_of_data": 1}, "the data"),
        ({"test_digest": "d" * 64}, "the test data"),
        ({"code": "e" * 64}, "the code"),
        ({"parameters": PARAMETERS | {"epochs": 3}}, "the parameters"),
        ({"seed_of_data": 1, "parameters": {}}, "the data, the parameters"),
    ],
)
def test_a_change_is_named_and_trained_on(
    make_run: Callable[..., str],
    make_development: Callable[[int], Path],
    name: str,
    differing: dict[str, Any],
    changed: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if code := differing.get("code"):
        monkeypatch.setattr(check_step, "code_digest", lambda: code)
    data = make_development(differing.get("seed_of_data", 0))
    run_id = make_run(differing.get("test_digest", TEST_DIGEST))
    parameters = differing.get("parameters", PARAMETERS)
    assert check_changes_step(data, run_id, name, skip_if_unchanged=True, parameters=parameters) == "train"
    said = f"[check-changes] training, because of {name} version 1 changed: {changed}\n"
    assert said in capsys.readouterr().out


def test_unless_it_is_asked_for_nothing_is_skipped(
    make_run: Callable[..., str], development: Path, name: str
) -> None:
    check = check_changes_step(development, make_run(), name, skip_if_unchanged=False, parameters=PARAMETERS)
    assert check == "train"


def test_without_a_champion_there_is_something_to_do(
    mlflow_client: "MlflowClient",
    make_run: Callable[..., str],
    development: Path,
    name: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    mlflow_client.delete_registered_model_alias(name, "champion")
    for model in (name, "never-registered"):
        check = check_changes_step(
            development, make_run(), model, skip_if_unchanged=True, parameters=PARAMETERS
        )
        assert check == "train"
        assert f"because {model} has no champion" in capsys.readouterr().out


def test_a_version_of_unknown_parameters_is_not_taken_for_unchanged(
    mlflow_client: "MlflowClient", make_run: Callable[..., str], development: Path, name: str
) -> None:
    mlflow_client.delete_model_version_tag(name, "1", "parameters_digest")
    check = check_changes_step(development, make_run(), name, skip_if_unchanged=True, parameters=PARAMETERS)
    assert check == "train"


@pytest.mark.parametrize("uri", ["", "http://127.0.0.1:9"])
def test_without_mlflow_nothing_is_skipped(
    development: Path, uri: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert (
        check_changes_step(development, "run", "", skip_if_unchanged=True, parameters=PARAMETERS) == "train"
    )
    assert "because without MLflow nobody knows the champion" in capsys.readouterr().out
