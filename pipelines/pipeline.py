"""The pipeline: ingest, preprocess, train, tune, evaluate, gate, register."""

from typing import Any

from kfp import dsl, kubernetes

from components.common.plan.run import RunPlan
from components.evaluate.component import evaluate, gate
from components.ingest.component import ingest
from components.preprocess.component import preprocess
from components.register.component import check_changes, close_run, register
from components.train.component import train
from components.tune.component import choose, open_study, search
from pipelines.compat.kfp_tasks import options_set_quickly
from pipelines.environment import Need, with_environment

DEFAULTS = RunPlan(run_id="", run_name="")
RUN_ID = dsl.PIPELINE_JOB_ID_PLACEHOLDER
# Counted from the start of the first attempt: after it no task is tried again, and a second attempt is stopped.
LONGEST = "7d"
# Of one attempt, after which its pod is stopped: a last resort, since what a step waits for has a bound of its own.
TRAINING_SECONDS, OTHER_SECONDS = 7 * 24 * 3600, 12 * 3600
TRAINING = {"Train baseline", "Search", "Choose"}
# Requests of the tasks that train or score a network.
COMPUTING = {"cpu": "500m", "memory": "1Gi"}
# A search has a process for each shard of a batch, two on two cores.
SEARCHING = {"cpu": "500m", "memory": "2Gi"}


def prepared_task(
    task: dsl.PipelineTask, name: str, *needs: Need, cpu: str = "100m", memory: str = "512Mi"
) -> Any:
    """Give the task its name for people and what it needs of the cluster, and keep caches from answering for it.

    It requests what it needs on MNIST, without a limit: other models and data may need more.
    """
    return (
        with_environment(task, name.lower().replace(" ", "-"), needs)
        .set_display_name(name)
        .set_caching_options(False)
        .set_cpu_request(cpu)
        .set_memory_request(memory)
    )


def durable(task: dsl.PipelineTask, name: str, *needs: Need, **requests: str) -> dsl.PipelineTask:
    """Prepare the task, and run it again when its pod is lost, or when it met an outage.

    Kubeflow makes one layer of attempts of this. The defaults of the workflow controller say which ends of a pod count,
    and leave what ends by itself in the layers above (infra/kubeflow/standalone/workflow-controller.yaml).
    """
    seconds = TRAINING_SECONDS if name in TRAINING else OTHER_SECONDS
    kubernetes.set_timeout(task, seconds)
    return prepared_task(task, name, *needs, **requests).set_retry(
        num_retries=6, backoff_duration="30s", backoff_factor=2, backoff_max_duration=LONGEST
    )


def on_accelerator(
    task: dsl.PipelineTask, count: Any, resource: Any, nodes: tuple[Any, Any, Any]
) -> dsl.PipelineTask:
    """Let the run's parameters place the task in a GPU node pool; with a count of 0 it runs anywhere.

    Several GPUs exchange data through shared memory, of which a container has 64 MiB. The volume costs nothing until
    it is written to, and counts towards the pod's memory. Kubeflow cannot make a volume depend on a parameter.
    """
    task.set_accelerator_type(resource).set_accelerator_limit(count)
    selector, affinity, tolerations = nodes
    kubernetes.add_node_selector_json(task, selector)
    kubernetes.add_node_affinity_json(task, affinity)
    kubernetes.add_toleration_json(task, tolerations)
    kubernetes.empty_dir_mount(task, "shared-memory", "/dev/shm", medium="Memory")  # noqa: S108
    return task


@dsl.pipeline(name="tune", display_name="Tune")
@options_set_quickly()
def tune(
    plan: dsl.Input[dsl.Artifact],
    development: dsl.Input[dsl.Dataset],
    baseline: dsl.Input[dsl.Model],
    gpu_count: str,
    gpu_resource: str,
    node_selector: dict,
    node_affinity: dict,
    tolerations: list,
) -> None:
    """Search from the baseline with workers that share one study."""
    study = open_study(plan=plan, baseline=baseline)
    durable(study, "Open study", "database")
    with dsl.ParallelFor(study.output, name="workers") as worker:
        searched = search(
            plan=plan,
            development=development,
            baseline=baseline,
            worker=worker,
            gpu_count=gpu_count,
            gpu_resource=gpu_resource,
        )
        on_accelerator(
            durable(searched, "Search", "store", "database", **SEARCHING),
            gpu_count, gpu_resource, (node_selector, node_affinity, tolerations),
        )  # fmt: skip


def train_and_register(
    data: Any,
    recipe: Any,
    trials: Any,
    options: Any,
    gpu_count: Any,
    gpu_resource: Any,
    nodes: tuple[Any, Any, Any],
) -> None:
    """Add the tasks from the data to the registered model to the pipeline that is being built."""
    ingested = ingest(
        run_id=RUN_ID,
        run_name=dsl.PIPELINE_JOB_NAME_PLACEHOLDER,
        data=data,
        recipe=recipe,
        trials=trials,
        options=options,
        gpu_count=gpu_count,
    )
    durable(ingested, "Ingest", "store", "data", "verification")
    plan = ingested.outputs["plan"]
    prepared = durable(preprocess(plan=plan, raw=ingested.outputs["raw"]), "Preprocess")
    development = prepared.outputs["development"]
    changes = durable(check_changes(plan=plan, development=development), "Check changes", "verification")
    with dsl.If(changes.output == "train", name="there is something to do"):
        _train_and_judge(plan, development, prepared.outputs["test"], gpu_count, gpu_resource, nodes)


def _train_and_judge(
    plan: Any, development: Any, test: Any, gpu_count: Any, gpu_resource: Any, nodes: tuple[Any, Any, Any]
) -> None:
    baseline = train(plan=plan, development=development)
    on_accelerator(
        durable(baseline, "Train baseline", "store", **COMPUTING),
        gpu_count, gpu_resource, nodes,
    )  # fmt: skip
    searched = tune(
        plan=plan,
        development=development,
        baseline=baseline.outputs["model"],
        gpu_count=gpu_count,
        gpu_resource=gpu_resource,
        node_selector=nodes[0],
        node_affinity=nodes[1],
        tolerations=nodes[2],
    )
    searched.set_display_name("Tune")
    # It trains where further seeds are wanted, or where the search left no state of the best training.
    chosen = choose(plan=plan, development=development, baseline=baseline.outputs["model"])
    on_accelerator(
        durable(chosen.after(searched), "Choose", "store", "database", **COMPUTING),
        gpu_count, gpu_resource, nodes,
    )  # fmt: skip
    judged = evaluate(
        plan=plan,
        test=test,
        development=development,
        baseline=baseline.outputs["model"],
        tuned=chosen.outputs["model"],
    )
    durable(judged, "Evaluate", "store", "verification", **COMPUTING)
    evaluation = judged.outputs["evaluation"]
    decision = durable(gate(plan=plan, evaluation=evaluation), "Gate")
    with dsl.If(decision.output == "register", name="passed the gate"):
        registered = register(
            plan=plan,
            candidate=judged.outputs["candidate"],
            evaluation=evaluation,
            judgement_digest=judged.outputs["Output"],
        )
        durable(registered, "Register", "store", "signing", "verification")


@dsl.pipeline(name="mnist-pipeline", display_name="MNIST: train, tune, evaluate, register")
@options_set_quickly()
def mnist_pipeline(
    data: str = DEFAULTS.data.source,
    recipe: str = DEFAULTS.recipe,
    trials: int = DEFAULTS.search.trials,
    options: dict = {},  # noqa: B006  # kfp reads the default into the compiled pipeline
    gpu_count: str = "0",  # as a number Kubeflow would ask for none
    gpu_resource: str = "nvidia.com/gpu",
    node_selector: dict = {},  # noqa: B006
    node_affinity: dict = {},  # noqa: B006
    tolerations: list = [],  # noqa: B006
) -> None:
    """Train and tune an image classifier; register it when it is good enough and not worse than the champion.

    Args:
        data: "mnist", "digits" (scikit-learn's), or the path or URI of other images (docs/your-data.md).
        recipe: "fast", "best", or "seed" for the tutorial's training.
        trials: Configurations to try in tuning, the baseline included; 1 searches nothing.
        options: Any other option of a run by its dotted name, as JSON, such as {"training.epochs": 2,
            "gate.min_accuracy": 0.99}; docs/options.md lists all of them.
        gpu_count: GPUs for each training and search task; 0 trains on the processor.
        gpu_resource: Kubernetes resource name of the GPUs.
        node_selector: Labels of the nodes for training and search, as JSON.
        node_affinity: Kubernetes' nodeAffinity for training and search, as JSON.
        tolerations: Tolerations for training and search, as a JSON list.
    """
    close = durable(close_run(run_id=RUN_ID), "Close run", "notices")
    with dsl.ExitHandler(close, name="pipeline"):
        train_and_register(
            data,
            recipe,
            trials,
            options,
            gpu_count,
            gpu_resource,
            (node_selector, node_affinity, tolerations),
        )
