"""The DAG, read from the compiled pipeline as Kubeflow's driver reads it."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from components.common.plan.training import RECIPES

Spec = dict[str, Any]
PLACEHOLDER = re.compile(r"\{\{\$\.inputs\.parameters\['([^']+)'\]\}\}")
TRAINING = {"comp-train", "comp-search", "comp-choose"}


@pytest.fixture(scope="session")
def spec(documents: tuple[Spec, Spec]) -> Spec:
    return documents[0]


@pytest.fixture(scope="session")
def node_pools(documents: tuple[Spec, Spec]) -> Spec:
    """What the platform spec says of each executor whose nodes can be chosen."""
    executors: Spec = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return {name: executor for name, executor in executors.items() if "nodeSelector" in executor}


def _tasks(spec: Spec) -> Iterator[tuple[str, str, Spec]]:
    """Yield the DAG ("root" or its component's name), the name and the spec of every task."""
    for dag, component in {"root": spec["root"], **spec["components"]}.items():
        for name, task in component.get("dag", {}).get("tasks", {}).items():
            yield dag, name, task


def _component(spec: Spec, task: Spec) -> Spec:
    component: Spec = spec["components"][task["componentRef"]["name"]]
    return component


def _inputs(task: Spec, kind: str) -> Spec:
    inputs: Spec = task.get("inputs", {}).get(kind, {})
    return inputs


def _declared(spec: Spec, dag: str, kind: str) -> set[str]:
    component = spec["root"] if dag == "root" else spec["components"][dag]
    return set(component.get("inputDefinitions", {}).get(kind, {}))


def _named_by(value: Spec) -> set[str]:
    """Return the inputs of its DAG that a task's input names."""
    constant = value.get("runtimeValue", {}).get("constant")
    names = PLACEHOLDER.findall(constant) if isinstance(constant, str) else []
    return {
        *names,
        *(value[key] for key in ("componentInputParameter", "componentInputArtifact") if key in value),
    }


def _origin(spec: Spec, dag: str, value: Spec) -> str:
    """Follow a task's input up to the pipeline's parameter, the constant or the task's output that it is."""
    names = _named_by(value)
    if not names:
        output = value.get("taskOutputParameter")
        return f"output of {output['producerTask']}" if output else str(value["runtimeValue"]["constant"])
    (name,) = names
    if dag == "root":
        return name
    ((above, task),) = [
        (above, task) for above, _, task in _tasks(spec) if task["componentRef"]["name"] == dag
    ]
    if task.get("parameterIterator", {}).get("itemInput") == name:
        return "item"
    return _origin(spec, above, _inputs(task, "parameters")[name])


def _consumers(spec: Spec, dag: str, source: Spec) -> Iterator[tuple[str, str]]:
    """Yield component and input of every step that is given the artifact."""
    for place, _, task in _tasks(spec):
        for name, value in _inputs(task, "artifacts").items():
            if place == dag and value == source:
                component = task["componentRef"]["name"]
                if "dag" in _component(spec, task):
                    yield from _consumers(spec, component, {"componentInputArtifact": name})
                else:
                    yield component, name


@pytest.mark.parametrize(
    ("artifact", "consumers"),
    [
        ("test", {("comp-evaluate", "test")}),
        # The evaluation calibrates on its validation split.
        (
            "development",
            {(component, "development") for component in {*TRAINING, "comp-evaluate", "comp-check-changes"}},
        ),
    ],
)
def test_only_the_evaluation_is_given_the_test_split(
    spec: Spec, artifact: str, consumers: set[tuple[str, str]]
) -> None:
    output = {"taskOutputArtifact": {"outputArtifactKey": artifact, "producerTask": "preprocess"}}
    assert set(_consumers(spec, "comp-exit-handler-1", output)) == consumers


def test_steps_wait_for_what_they_need(spec: Spec) -> None:
    def waits(part: str) -> Spec:
        return {name: set(task.get("dependentTasks", [])) for dag, name, task in _tasks(spec) if dag == part}

    assert waits("comp-exit-handler-1") == {
        "ingest": set(),
        "preprocess": {"ingest"},
        "check-changes": {"ingest", "preprocess"},
        "condition-2": {"check-changes", "ingest", "preprocess"},
    }
    assert waits("comp-condition-2") == {
        "train": set(),
        "tune": {"train"},
        "choose": {"train", "tune"},
        "evaluate": {"choose", "train"},
        "gate": {"evaluate"},
        "condition-3": {"evaluate", "gate"},
    }


def test_nothing_is_trained_where_nothing_has_changed(spec: Spec) -> None:
    condition = spec["components"]["comp-exit-handler-1"]["dag"]["tasks"]["condition-2"]
    assert condition["triggerPolicy"] == {
        "condition": "inputs.parameter_values['pipelinechannel--check-changes-Output'] == 'train'"
    }
    assert _inputs(condition, "parameters")["pipelinechannel--check-changes-Output"] == {
        "taskOutputParameter": {"outputParameterKey": "Output", "producerTask": "check-changes"}
    }


def test_every_worker_waits_for_the_study(spec: Spec) -> None:
    tune = spec["components"]["comp-tune"]["dag"]["tasks"]
    assert tune["for-loop-1"]["dependentTasks"] == ["open-study"]
    assert (
        tune["for-loop-1"]["parameterIterator"]["items"]["inputParameter"]
        == "pipelinechannel--open-study-Output"
    )


def test_nothing_is_registered_that_did_not_pass_the_gate(spec: Spec) -> None:
    places = [dag for dag, _, task in _tasks(spec) if task["componentRef"]["name"] == "comp-register"]
    assert places == ["comp-condition-3"]
    condition = spec["components"]["comp-condition-2"]["dag"]["tasks"]["condition-3"]
    assert condition["triggerPolicy"] == {
        "condition": "inputs.parameter_values['pipelinechannel--gate-Output'] == 'register'"
    }
    assert _inputs(condition, "parameters")["pipelinechannel--gate-Output"] == {
        "taskOutputParameter": {"outputParameterKey": "Output", "producerTask": "gate"}
    }


def test_the_registration_gets_the_judgements_digest_from_kubeflow_and_not_from_an_artifact(
    spec: Spec,
) -> None:
    [(dag, task)] = [(dag, task) for dag, name, task in _tasks(spec) if name == "register"]
    digest = _inputs(task, "parameters")["judgement_digest"]
    assert _origin(spec, dag, digest) == "output of evaluate"


def test_the_run_is_closed_whatever_happened(spec: Spec) -> None:
    tasks = spec["root"]["dag"]["tasks"]
    assert tasks.keys() == {"exit-handler-1", "close-run"}
    close = tasks["close-run"]
    assert close["dependentTasks"] == ["exit-handler-1"]
    assert close["cachingOptions"] == {}
    assert close["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    assert _inputs(close, "parameters")["status"] == {"taskFinalStatus": {"producerTask": "exit-handler-1"}}


def test_a_step_is_run_again_when_its_pod_is_lost_and_never_answered_from_a_cache(spec: Spec) -> None:
    steps = {
        name: (task.get("retryPolicy", {}).get("maxRetryCount"), task["cachingOptions"])
        for _, name, task in _tasks(spec)
        if "executorLabel" in _component(spec, task)
    }
    assert len(steps) == 11
    assert steps == dict.fromkeys(steps, (6, {}))


def test_a_worker_is_tried_again_by_itself_and_its_loop_is_not(spec: Spec) -> None:
    """Kubeflow makes attempts of the policy of the task within the loop; around it they would multiply."""
    policies = {(dag, name): task["retryPolicy"] for dag, name, task in _tasks(spec) if "retryPolicy" in task}
    assert policies["comp-for-loop-1", "search"] == {
        "maxRetryCount": 6,
        "backoffDuration": "30s",
        "backoffFactor": 2.0,
        "backoffMaxDuration": f"{7 * 24 * 3600}s",
    }
    around = {name for _, name, task in _tasks(spec) if "executorLabel" not in _component(spec, task)}
    assert around == {"exit-handler-1", "condition-2", "tune", "for-loop-1", "condition-3"}
    assert not around & {name for _, name in policies}


def test_every_task_has_a_name_for_people(spec: Spec) -> None:
    names = [task["taskInfo"]["name"] for _, _, task in _tasks(spec)]
    assert len(set(names)) == len(names)


def test_every_parameter_has_a_description_and_a_default(spec: Spec) -> None:
    for name, parameter in spec["root"]["inputDefinitions"]["parameters"].items():
        assert parameter["description"], name
        assert "defaultValue" in parameter, name


def test_the_recipe_is_chosen_from_a_list(spec: Spec) -> None:
    parameters = spec["root"]["inputDefinitions"]["parameters"]
    assert parameters["recipe"]["literals"] == list(RECIPES)
    assert parameters["recipe"]["defaultValue"] in RECIPES


def test_every_parameter_reaches_a_step(spec: Spec, node_pools: Spec) -> None:
    origins = {
        _origin(spec, dag, value)
        for dag, _, task in _tasks(spec)
        if "executorLabel" in _component(spec, task)
        for value in _inputs(task, "parameters").values()
        if "taskFinalStatus" not in value
    }
    pool = {"node_selector", "node_affinity", "tolerations"} if node_pools else set()
    assert spec["root"]["inputDefinitions"]["parameters"].keys() <= origins | pool


def _resources(spec: Spec, task: Spec) -> Spec:
    executor = _component(spec, task).get("executorLabel")
    container = spec["deploymentSpec"]["executors"][executor]["container"] if executor else {}
    resources: Spec = container.get("resources", {})
    return resources


def _pool_inputs(spec: Spec, node_pools: Spec, task: Spec) -> list[Spec]:
    """Return what the platform spec takes from the DAG's inputs for this task's pod."""
    executor = _component(spec, task).get("executorLabel")
    if executor not in node_pools:
        return []
    pool = node_pools[executor]
    affinities = [term["nodeAffinityJson"] for term in pool["nodeAffinity"]]
    tolerations = [toleration["tolerationJson"] for toleration in pool["tolerations"]]
    return [pool["nodeSelector"]["nodeSelectorJson"], *affinities, *tolerations]


def test_the_runs_parameters_place_training_and_search_on_accelerators(spec: Spec, node_pools: Spec) -> None:
    placed = {}
    for dag, _, task in _tasks(spec):
        if accelerator := _resources(spec, task).get("accelerator"):
            names = [PLACEHOLDER.fullmatch(accelerator[key]) for key in ("resourceCount", "resourceType")]
            values = [_inputs(task, "parameters")[name[1]] for name in names if name]
            values += _pool_inputs(spec, node_pools, task)
            placed[task["componentRef"]["name"]] = [_origin(spec, dag, value) for value in values]
    assert placed.keys() == TRAINING
    for origins in placed.values():
        assert origins == ["gpu_count", "gpu_resource", "node_selector", "node_affinity", "tolerations"]
    assert node_pools.keys() == {"exec-train", "exec-search", "exec-choose"}


def test_kubeflow_reads_what_a_pod_asks_for_from_text_alone(spec: Spec) -> None:
    """The driver takes a number for nothing, and would ask for no accelerator."""
    types = [
        spec["components"][dag]["inputDefinitions"]["parameters"][name]["parameterType"]
        for dag, _, task in _tasks(spec)
        for name in PLACEHOLDER.findall(str(_resources(spec, task)))
    ]
    assert types == ["STRING"] * 2 * len(TRAINING)


def test_every_pod_asks_for_processor_and_memory(spec: Spec) -> None:
    """A pod that asks for nothing is the first to be evicted, and lands where there is no room."""
    asked = {}
    for _, _, task in _tasks(spec):
        if resources := _resources(spec, task):
            needs = resources["resourceCpuRequest"], resources["resourceMemoryRequest"]
            asked[task["componentRef"]["name"]] = needs
    assert {f"exec-{name.removeprefix('comp-')}" for name in asked} == spec["deploymentSpec"][
        "executors"
    ].keys()
    computing = {name: needs for name, needs in asked.items() if name in {*TRAINING, "comp-evaluate"}}
    assert computing.pop("comp-search") == ("500m", "2Gi")
    assert set(computing.values()) == {("500m", "1Gi")}


def test_a_training_of_days_is_tried_again(spec: Spec) -> None:
    """Kubeflow counts the longest time from the start of the first attempt, and stops the second one there."""
    durations = {
        task["retryPolicy"]["backoffMaxDuration"] for _, _, task in _tasks(spec) if "retryPolicy" in task
    }
    assert durations == {f"{7 * 24 * 3600}s"}


def test_an_attempt_at_a_task_ends(documents: tuple[Spec, Spec]) -> None:
    executors = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    seconds = {name: int(executor["activeDeadlineSeconds"]) for name, executor in executors.items()}
    assert len(seconds) == 11
    trainings = {f"exec-{name.removeprefix('comp-')}" for name in TRAINING}
    assert {name for name, bound in seconds.items() if bound == 7 * 24 * 3600} == trainings
    assert {bound for name, bound in seconds.items() if name not in trainings} == {12 * 3600}


def test_training_and_search_have_all_of_their_memory_to_share(node_pools: Spec) -> None:
    for executor in ("exec-train", "exec-search", "exec-choose"):
        (mount,) = node_pools[executor]["emptyDirMounts"]
        assert (mount["mountPath"], mount["medium"]) == ("/dev/shm", "Memory")  # noqa: S108
        assert "sizeLimit" not in mount


def test_the_graph_speaks_to_people(spec: Spec) -> None:
    displayed = {task["taskInfo"]["name"] for _, _, task in _tasks(spec)}
    assert displayed == {
        "Ingest", "Preprocess", "Check changes", "there is something to do", "Train baseline", "Tune", "Open study",
        "workers", "Search", "Choose", "Evaluate", "Gate", "passed the gate", "Register", "pipeline",
        "Close run",
    }  # fmt: skip
    schemas = [
        output["artifactType"]["schemaTitle"]
        for component in spec["components"].values()
        if "executorLabel" in component
        for output in component.get("outputDefinitions", {}).get("artifacts", {}).values()
    ]
    assert {"system.Metrics", "system.ClassificationMetrics", "system.HTML", "system.Markdown"} <= set(
        schemas
    )


def test_every_input_that_a_task_names_is_declared_and_passed_down(spec: Spec, node_pools: Spec) -> None:
    missing = []
    for dag, name, task in _tasks(spec):
        for kind in ("parameters", "artifacts"):
            given = _inputs(task, kind)
            pool = _pool_inputs(spec, node_pools, task) if kind == "parameters" else []
            named = set().union(*map(_named_by, [*given.values(), *pool]))
            missing += [(dag, name, "not declared", missed) for missed in named - _declared(spec, dag, kind)]
            if "dag" in _component(spec, task):
                item = task.get("parameterIterator", {}).get("itemInput")
                needed = _declared(spec, task["componentRef"]["name"], kind) - {item}
                missing += [(dag, name, "not passed", missed) for missed in needed - set(given)]
        pod = set(PLACEHOLDER.findall(str(_resources(spec, task))))
        missing += [(dag, name, "not given", missed) for missed in pod - set(_inputs(task, "parameters"))]
    assert missing == []


def test_a_placeholder_is_the_whole_value(spec: Spec) -> None:
    constants = [
        value["runtimeValue"]["constant"]
        for _, _, task in _tasks(spec)
        for value in _inputs(task, "parameters").values()
        if "runtimeValue" in value
    ]
    placeholders = [constant for constant in constants if "{{" in str(constant)]
    assert placeholders
    assert [text for text in placeholders if not re.fullmatch(r"\{\{\$\.[^{}]+\}\}", text)] == []


def test_the_first_and_the_last_step_are_given_kubeflows_id_of_the_run_and_all_others_the_plan(
    spec: Spec,
) -> None:
    steps = [(dag, task) for dag, _, task in _tasks(spec) if "executorLabel" in _component(spec, task)]
    ids = {
        task["taskInfo"]["name"]: _origin(spec, dag, _inputs(task, "parameters")["run_id"])
        for dag, task in steps
        if "run_id" in _inputs(task, "parameters")
    }
    assert ids == dict.fromkeys(["Ingest", "Close run"], "{{$.pipeline_job_uuid}}")
    plan = {"taskOutputArtifact": {"outputArtifactKey": "plan", "producerTask": "ingest"}}
    given = [component for component, _ in _consumers(spec, "comp-exit-handler-1", plan)]
    everything = [task["componentRef"]["name"] for _, task in steps]
    assert sorted(given) == sorted(set(everything) - {"comp-ingest", "comp-close-run"})


def test_no_step_has_more_than_seven_parameters(spec: Spec) -> None:
    counts = {
        name: len(component.get("inputDefinitions", {}).get("parameters", {}))
        for name, component in spec["components"].items()
        if "executorLabel" in component
    }
    assert max(counts.values()) <= 7, counts
