"""What each step's pod is given, read from the compiled pipeline."""

import ast
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

import components
from pipelines.environment import CREDENTIALS, KEY_FILES, NAME, SETTINGS, STEP_LABEL
from pipelines.pipeline import mnist_pipeline

# What Kubeflow's native MLflow integration sets in a step. Kubernetes refuses a pod that has a value and a reference
# for one variable.
INJECTED = {
    "MLFLOW_EXPERIMENT_ID",
    "MLFLOW_RUN_ID",
    "MLFLOW_TRACKING_AUTH",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_URI",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_WORKSPACE",
}
STORE, DATABASE = CREDENTIALS["store"], CREDENTIALS["database"]
CREDENTIALS_OF: dict[str, dict[str, str]] = {
    "ingest": STORE,
    "preprocess": {},
    "check-changes": {},
    "train": STORE,
    "open-study": DATABASE,
    "search": STORE | DATABASE,
    "choose": STORE | DATABASE,
    "evaluate": {},
    "gate": {},
    "register": {},
    "close-run": {},
}
VERIFYING = {"check-changes", "evaluate", "register"}
PACKAGE_OF = {"check-changes": "register", "open-study": "tune", "search": "tune", "choose": "tune"}

Executors = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def executors() -> Executors:
    platform = MessageToDict(mnist_pipeline.platform_spec)["platforms"]["kubernetes"]
    return {
        name.removeprefix("exec-"): executor
        for name, executor in platform["deploymentSpec"]["executors"].items()
    }


def variables(sources: list[dict[str, Any]], key: str) -> dict[str, str]:
    return {entry[key]: entry["envVar"] for source in sources for entry in source["keyToEnv"]}


def test_every_step_is_given_the_settings_and_only_the_credentials_that_it_needs(
    executors: Executors,
) -> None:
    assert set(executors) == set(CREDENTIALS_OF)
    for step, executor in executors.items():
        (settings,) = executor["configMapAsEnv"]
        credentials = executor.get("secretAsEnv", [])
        expected = SETTINGS | (KEY_FILES["verification"] if step in VERIFYING else {})
        expected |= KEY_FILES["signing"] if step == "register" else {}
        assert variables([settings], "configMapKey") == expected, step
        assert variables(credentials, "secretKey") == CREDENTIALS_OF[step], step
        assert {(source["secretName"], source["optional"]) for source in credentials} <= {(NAME, True)}
        assert (settings["configMapName"], settings["optional"]) == (NAME, True)


def test_the_signing_key_is_in_one_pod_alone(executors: Executors) -> None:
    secrets = {step: executor.get("secretAsVolume") for step, executor in executors.items()}
    assert {step for step, volumes in secrets.items() if volumes} == {"register"}
    (volume,) = secrets["register"] or []
    assert (volume["secretName"], volume["optional"]) == ("mnist-pipeline-signing", True)
    public = {step for step, executor in executors.items() if "configMapAsVolume" in executor}
    assert public == VERIFYING


def test_the_containers_are_never_roots(executors: Executors) -> None:
    for step, executor in executors.items():
        assert executor["securityContext"] == {
            "runAsUser": "65532",
            "runAsGroup": "65532",
            "runAsNonRoot": True,
        }
        label = executor["podMetadata"]["labels"][STEP_LABEL]
        assert label == {"train": "train-baseline"}.get(step, step)


def test_a_step_without_the_stores_key_has_no_code_that_asks_for_it() -> None:
    """The settings that name credentials are read in the modules below, whose packages are those of the steps."""
    readers: dict[str, set[str]] = {"from_environment": set(), "for_uri": set(), "optuna_storage": set()}
    root = Path(components.__file__).parent
    for path in root.rglob("*.py"):
        names = {
            node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)
        }
        for name in readers.keys() & names:
            readers[name].add(path.relative_to(root).parts[0])
    # What `address.py` of common fetches is asked for by ingest alone.
    store = (readers["from_environment"] | readers["for_uri"]) - {"common"}
    with_store = {
        PACKAGE_OF.get(step, step) for step, given in CREDENTIALS_OF.items() if STORE.items() <= given.items()
    }
    with_database = {
        PACKAGE_OF.get(step, step)
        for step, given in CREDENTIALS_OF.items()
        if DATABASE.items() <= given.items()
    }
    assert store <= with_store
    assert readers["optuna_storage"] == with_database


def test_no_variable_is_set_twice() -> None:
    names = [
        name for group in (SETTINGS, *KEY_FILES.values(), *CREDENTIALS.values()) for name in group.values()
    ]
    assert len(set(names)) == len(names)
    assert not INJECTED & set(names)
