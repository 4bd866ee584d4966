from typing import Any

import pytest
import yaml

from pipelines.compile import compile_pipeline
from pipelines.monitoring import monitoring_pipeline
from pipelines.parameters import FORM, MONITORING, PLACEMENT, request
from tests.pipelines.conftest import IMAGE

Spec = dict[str, Any]


@pytest.fixture(scope="module")
def monitoring(tmp_path_factory: pytest.TempPathFactory) -> tuple[Spec, Spec]:
    """The two documents of the compiled pipeline."""
    target = tmp_path_factory.mktemp("compiled") / "monitoring.yaml"
    compile_pipeline(target, IMAGE, pipeline=monitoring_pipeline)
    spec, platform = yaml.safe_load_all(target.read_text())
    return spec, platform


def test_it_takes_the_parameters_of_a_training_and_its_own(monitoring: tuple[Spec, Spec]) -> None:
    parameters = monitoring[0]["root"]["inputDefinitions"]["parameters"]
    assert set(parameters) == {*FORM.values(), "options", *PLACEMENT, *MONITORING}
    settings = ["monitor_retrain=true", "monitor_hours=6", "monitor_model=digits-cnn", "epochs=2"]
    assert request(settings).arguments() == {
        "monitor_retrain": True,
        "monitor_hours": 6,
        "monitor_model": "digits-cnn",
        "options": {"training.epochs": 2},
    }


def test_it_trains_only_where_a_retraining_was_claimed(
    monitoring: tuple[Spec, Spec], documents: tuple[Spec, Spec]
) -> None:
    spec = monitoring[0]
    watched = spec["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    (condition,) = set(watched) - {"monitor", "claim"}
    assert watched["claim"]["dependentTasks"] == ["monitor"]
    trigger = watched[condition]["triggerPolicy"]["condition"]
    assert trigger == "inputs.parameter_values['pipelinechannel--claim-Output'] == 'retrain'"
    trained = spec["components"][watched[condition]["componentRef"]["name"]]["dag"]["tasks"]
    of_a_run = documents[0]["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    assert {"ingest", "preprocess", "check-changes"} <= set(trained)
    assert len(trained) == len(of_a_run)


def test_every_step_runs_in_the_image_and_can_be_tried_again(monitoring: tuple[Spec, Spec]) -> None:
    spec, platform = monitoring
    executors = spec["deploymentSpec"]["executors"]
    assert {executor["container"]["image"] for executor in executors.values()} == {IMAGE}
    tasks = spec["components"]["comp-exit-handler-1"]["dag"]["tasks"]
    assert all(tasks[name]["retryPolicy"]["maxRetryCount"] == 6 for name in ("monitor", "claim"))
    given = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-monitor"]
    assert given["podMetadata"]["labels"]["mnist-pipeline/step"] == "monitor"
    keys = {
        entry["secretName"]
        for name in ("monitor", "claim")
        for entry in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"][f"exec-{name}"][
            "secretAsEnv"
        ]
        if any(pair["envVar"] == "AWS_ACCESS_KEY_ID" for pair in entry["keyToEnv"])
    }
    assert keys == {"mnist-pipeline-monitoring"}
    assert "mnist-pipeline-notices" in {entry["secretName"] for entry in given["secretAsEnv"]}


def test_the_steps_that_send_notices_are_given_the_receivers(monitoring: tuple[Spec, Spec]) -> None:
    executors = monitoring[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    given = {
        name
        for name, executor in executors.items()
        if any(entry["secretName"] == "mnist-pipeline-notices" for entry in executor["secretAsEnv"])
    }
    assert given == {"exec-monitor", "exec-close-run"}


def test_both_pipelines_have_names_of_their_own() -> None:
    from pipelines.cluster.package import compiled

    with compiled(IMAGE) as training, compiled(IMAGE, monitoring=True) as monitoring:
        assert (training.name, monitoring.name) == ("mnist-pipeline", "mnist-monitoring")
        assert {*training.steps} < {*monitoring.steps}
        assert monitoring.steps["monitor"] == "Monitor"
