"""The stand-in for Kubeflow refuses what a real server would refuse, so that the tests built on it mean something."""

import copy
from typing import Any

import pytest
import requests

from tests.pipelines.cluster.kubeflow import Document, Kubeflow, serving


def _recurring_run(kubeflow: Kubeflow) -> Document:
    return {
        "display_name": "nightly",
        "experiment_id": kubeflow.experiments[0]["experiment_id"],
        "pipeline_version_reference": {"pipeline_id": "p"},
        "runtime_config": {"parameters": {"trials": 2, "recipe": "fast"}},
        "trigger": {"cron_schedule": {"cron": "0 0 3 * * *"}},
        "max_concurrency": "1",
        "no_catchup": True,
        "mode": "ENABLE",
    }


@pytest.fixture
def kubeflow(documents: tuple[Document, Document]) -> Kubeflow:
    kubeflow = Kubeflow()
    spec = {"pipeline_spec": copy.deepcopy(documents[0]), "platform_spec": documents[1]}
    kubeflow.versions.append({"pipeline_id": "p", "pipeline_spec": spec})
    return kubeflow


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("recurringRunId", "r", "unknown field"),
        ("recurring_run_id", "r", "unknown field"),
        ("status", "ENABLED", "unknown field"),
        ("trigger.cron", "0 0 3 * * *", "unknown field"),
        ("trigger.cron_schedule.cron", "0 3 * * *", "not a supported format"),
        ("no_catchup", "yes", "no_catchup must be bool"),
        ("max_concurrency", 1, "max_concurrency must be str"),
        ("max_concurrency", "0", "Max concurrency"),
        ("mode", "ON", "must be one of"),
        ("experiment_id", "none", "experiment_id none not found"),
        ("runtime_config.parameters.epoch", 1, "not required by pipeline: epoch"),
        ("runtime_config.parameters.trials", "2", "requires type NUMBER_INTEGER"),
        ("runtime_config.parameters.trials", True, "requires type NUMBER_INTEGER"),
        ("runtime_config.parameters.recipe", "slow", "is not one of"),
        ("namespace", 7, "namespace must be str"),
    ],
)
def test_a_recurring_run_that_breaks_a_rule_is_refused(
    kubeflow: Kubeflow, path: str, value: Any, message: str
) -> None:
    body = _recurring_run(kubeflow)
    *above, last = path.split(".")
    place: Any = body
    for key in above:
        place = place[key]
    with serving(kubeflow) as host:
        address = f"{host}/apis/v2beta1/recurringruns"
        assert requests.post(address, json=body, timeout=5).status_code == 200
        place[last] = value
        refused = requests.post(address, json=body, timeout=5)
    assert refused.status_code in {400, 404}
    assert message in refused.json()["message"]
    assert len(kubeflow.recurring_runs) == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "jobs"),
        ("PATCH", "recurringruns/r"),
        ("GET", "healthz?name=x"),
        ("POST", "runs?experiment_id=1"),
    ],
)
def test_what_the_api_does_not_have_is_a_violation(kubeflow: Kubeflow, method: str, path: str) -> None:
    with serving(kubeflow) as host:
        answer = requests.request(method, f"{host}/apis/v2beta1/{path}", json={"a": 1}, timeout=5)
    assert answer.status_code == 500
    assert len(kubeflow.violations) == 1


@pytest.mark.parametrize(("state", "action"), [("SUCCEEDED", "terminate"), ("RUNNING", "retry")])
def test_a_run_in_the_wrong_state_is_refused(kubeflow: Kubeflow, state: str, action: str) -> None:
    kubeflow.runs.append({"run_id": "r", "display_name": "r", "state": state})
    with serving(kubeflow) as host:
        refused = requests.post(f"{host}/apis/v2beta1/runs/r:{action}", timeout=5)
    assert (refused.status_code, kubeflow.runs[0]["state"]) == (400, state)
