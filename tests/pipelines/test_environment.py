from typing import Any

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
