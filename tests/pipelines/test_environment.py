import os
import subprocess
import sys
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from pipelines.environment import CREDENTIALS, NAME, SETTINGS
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


def variables(source: dict[str, Any], key: str) -> dict[str, str]:
    return {entry[key]: entry["envVar"] for entry in source["keyToEnv"]}


def test_every_step_is_given_the_clusters_settings_and_credentials() -> None:
    platform = MessageToDict(mnist_pipeline.platform_spec)["platforms"]["kubernetes"]
    given = platform["deploymentSpec"]["executors"]
    assert set(given) == set(mnist_pipeline.pipeline_spec.deployment_spec["executors"])
    for executor in given.values():
        (settings,) = executor["configMapAsEnv"]
        (credentials,) = executor["secretAsEnv"]
        assert (settings["configMapName"], settings["optional"]) == (NAME, True)
        assert (credentials["secretName"], credentials["optional"]) == (NAME, True)
        assert variables(settings, "configMapKey") == SETTINGS
        assert variables(credentials, "secretKey") == CREDENTIALS


def test_no_variable_is_set_twice() -> None:
    names = [*SETTINGS.values(), *CREDENTIALS.values()]
    assert len(set(names)) == len(names)
    assert not INJECTED & set(names)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"DEFAULT_MLFLOW_TRACKING_URI": "http://ours"}, "http://ours"),
        (
            {"DEFAULT_MLFLOW_TRACKING_URI": "http://ours", "MLFLOW_TRACKING_URI": "http://injected"},
            "http://injected",
        ),
        ({}, "None"),
    ],
)
def test_the_injected_address_comes_first(environment: dict[str, str], expected: str) -> None:
    inherited = {name: value for name, value in os.environ.items() if "MLFLOW_TRACKING" not in name}
    code = (
        "import os; from components.common.tracking.client import configure_mlflow; configure_mlflow(); "
        "print(os.environ.get('MLFLOW_TRACKING_URI'))"
    )
    command = [sys.executable, "-c", code]
    printed = subprocess.run(
        command, env={**inherited, **environment}, capture_output=True, text=True, check=True
    ).stdout
    assert printed == f"{expected}\n"
