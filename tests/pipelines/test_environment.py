"""What each step's pod is given, read from the compiled pipeline."""

import ast
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

import components
from pipelines.environment import CREDENTIALS, LOGIN, MOUNTED, NAME, PUBLIC_KEYS, SETTINGS, STEP_LABEL
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
STORE = {(NAME, name) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")}
DATABASE = {(NAME, "OPTUNA_STORAGE")}
NOTICES = {("mnist-pipeline-notices", key) for key in CREDENTIALS["notices"][1]}
# Secret and variable.
CREDENTIALS_OF: dict[str, set[tuple[str, str]]] = {
    "ingest": STORE | {("mnist-pipeline-data", "DATA_URI")},
    "preprocess": set(),
    "check-changes": set(),
    "train": STORE,
    "open-study": DATABASE,
    "search": STORE | DATABASE,
    "choose": STORE | DATABASE,
    "evaluate": STORE,
    "gate": set(),
    "register": STORE | {("mnist-pipeline-signing", "MODEL_SIGNING_KEY")},
    "close-run": NOTICES,
}
VERIFYING = {"ingest", "check-changes", "evaluate", "register"}
PACKAGE_OF = {"check-changes": "register", "open-study": "tune", "search": "tune", "choose": "tune"}

Executors = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def executors() -> Executors:
    platform = MessageToDict(mnist_pipeline.platform_spec)["platforms"]["kubernetes"]
    return {
        name.removeprefix("exec-"): executor
        for name, executor in platform["deploymentSpec"]["executors"].items()
    }


def given(sources: list[dict[str, Any]], kind: str) -> dict[tuple[str, str], str]:
    """The variable of each key, by the name of its ConfigMap or Secret and the key."""
    assert all(source["optional"] for source in sources)
    return {
        (source[f"{kind}Name"], entry[f"{kind}Key"]): entry["envVar"]
        for source in sources
        for entry in source["keyToEnv"]
    }


def test_every_step_is_given_the_settings_and_only_the_credentials_that_it_needs(
    executors: Executors,
) -> None:
    assert set(executors) == set(CREDENTIALS_OF)
    config_map, keys = PUBLIC_KEYS
    public = {(config_map, key): key for key in keys}
    for step, executor in executors.items():
        settings = {(NAME, key): variable for key, variable in SETTINGS.items()}
        expected = settings | public if step in VERIFYING else settings
        assert given(executor["configMapAsEnv"], "configMap") == expected, step
        secret = {(name, key): key for name, key in CREDENTIALS_OF[step]}
        login = {(NAME, key): variable for key, variable in LOGIN.items()}
        assert given(executor["secretAsEnv"], "secret") == secret | login, step


def test_every_step_may_have_further_variables_as_files(executors: Executors) -> None:
    containers = MessageToDict(mnist_pipeline.pipeline_spec)["deploymentSpec"]["executors"]
    for step, executor in executors.items():
        mounted = {
            source[f"{kind}Name"]: source["mountPath"]
            for kind in ("configMap", "secret")
            for source in executor[f"{kind}AsVolume"]
            if source["optional"]
        }
        # Kubeflow names each volume after its source; two of one name would be one volume.
        assert mounted == MOUNTED, step
        assert len(set(mounted) | {mount["volumeName"] for mount in executor.get("emptyDirMounts", [])}) == (
            len(mounted) + len(executor.get("emptyDirMounts", []))
        )
        variables = {
            entry["name"]: entry["value"] for entry in containers[f"exec-{step}"]["container"]["env"]
        }
        assert variables["STEP_ENVIRONMENT"].split(":") == list(MOUNTED.values())


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

    def packages(credentials: set[tuple[str, str]]) -> set[str]:
        return {PACKAGE_OF.get(step, step) for step, held in CREDENTIALS_OF.items() if credentials <= held}

    # What `address.py` of common fetches is asked for by ingest alone.
    # The pipeline that looks for drift gives `monitor` a key of its own.
    assert (readers["from_environment"] | readers["for_uri"]) - {"common", "monitor"} <= packages(STORE)
    assert readers["optuna_storage"] == packages(DATABASE)


def test_no_variable_is_set_twice() -> None:
    names = [*SETTINGS.values(), *LOGIN.values(), *PUBLIC_KEYS[1]]
    # No task is given both keys of the store.
    names += [name for need, (_, keys) in CREDENTIALS.items() for name in keys if need != "monitoring"]
    assert len(set(names)) == len(names)
    assert not INJECTED & set(names)
