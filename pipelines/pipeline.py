"""The pipeline: ingest, preprocess, train, tune, train again, evaluate, gate, register."""

from typing import Any

from kfp import dsl, kubernetes

from components.evaluate.component import evaluate, gate
from components.ingest.component import ingest
from components.preprocess.component import preprocess
from components.register.component import check_changes, close_run, register
from components.train.component import train
from components.tune.component import choose, open_study, search
from pipelines.environment import with_environment

RUN_ID = dsl.PIPELINE_JOB_ID_PLACEHOLDER
# From the start of the first attempt. Later than that nothing is tried again, and a second attempt is stopped.
LONGEST = "7d"
# Of the steps that train or score a network.
COMPUTING = {"cpu": "500m", "memory": "1Gi"}


def prepared_task(task: dsl.PipelineTask, name: str, *, cpu: str = "100m", memory: str = "512Mi") -> Any:
    """Name the task for people, give it the cluster's settings, and never answer it from a cache.

    It asks for what it needs on MNIST and has no limit: a model or data of your own may need more.
    """
    return (
        with_environment(task)
        .set_display_name(name)
        .set_caching_options(False)
        .set_cpu_request(cpu)
        .set_memory_request(memory)
    )


def durable(task: dsl.PipelineTask, name: str, **requests: str) -> dsl.PipelineTask:
    """Prepare the task, and run it again when its pod is lost."""
    return prepared_task(task, name, **requests).set_retry(
        num_retries=2, backoff_duration="30s", backoff_factor=2, backoff_max_duration=LONGEST
    )


def on_accelerator(
    task: dsl.PipelineTask, count: Any, resource: Any, node_selector: Any, tolerations: Any
) -> dsl.PipelineTask:
    """Let the run's parameters place the task in a GPU node pool; with a count of 0 it runs anywhere.

    Libraries that let several GPUs talk need more shared memory than the 64 MiB of a container. The volume costs
    nothing until it is written to, and counts towards the pod's memory: Kubeflow can tie no volume to a parameter.
    """
    task.set_accelerator_type(resource).set_accelerator_limit(count)
    kubernetes.add_node_selector_json(task, node_selector)
    kubernetes.add_toleration_json(task, tolerations)
    kubernetes.empty_dir_mount(task, "shared-memory", "/dev/shm", medium="Memory")  # noqa: S108
    return task


@dsl.pipeline(name="tune", display_name="Tune")
def tune(
    development: dsl.Input[dsl.Dataset],
    baseline: dsl.Input[dsl.Model],
    pipeline_run_id: str,
    trials: int,
    tuning_workers: int,
    tuning_seeds: int,
    search_space: dict,
    seed: int,
    gpu_count: str,
    gpu_resource: str,
    node_selector: dict,
    tolerations: list,
) -> str:
    """Search from the baseline with workers that share one study; return the best differences as JSON."""
    study = open_study(
        baseline=baseline,
        pipeline_run_id=pipeline_run_id,
        trials=trials,
        tuning_workers=tuning_workers,
        tuning_seeds=tuning_seeds,
        seed=seed,
        search_space=search_space,
    )
    durable(study, "Open study")
    with dsl.ParallelFor(study.output, name="workers") as worker:
        searched = search(
            development=development,
            baseline=baseline,
            pipeline_run_id=pipeline_run_id,
            worker=worker,
            gpu_count=gpu_count,
            gpu_resource=gpu_resource,
        )
        on_accelerator(
            durable(searched, "Search", **COMPUTING), gpu_count, gpu_resource, node_selector, tolerations
        )
    best = choose(
        baseline=baseline, pipeline_run_id=pipeline_run_id, trials_by_worker=dsl.Collected(searched.output)
    )
    durable(best, "Choose")
    return best.outputs["Output"]


@dsl.pipeline(name="mnist-pipeline", display_name="MNIST: train, tune, evaluate, register")
def mnist_pipeline(
    data: str = "mnist",
    dataset_name: str = "",
    data_version: str = "",
    fraction: float = 1.0,
    stratify: bool = False,
    split_seed: int = 23,
    recipe: str = "fast",
    epochs: int = 0,
    batch_size: int = 0,
    learning_rate: float = 0.0,
    seed: int = 0,
    seeds: int = 1,
    trials: int = 6,
    tuning_workers: int = 1,
    tuning_seeds: int = 2,
    search_space: dict = {},  # noqa: B006  # kfp reads the default into the compiled pipeline
    min_accuracy: float = 0.95,
    skip_if_unchanged: bool = False,
    experiment_name: str = "mnist-pipeline",
    model_name: str = "",
    gpu_count: str = "0",  # as a number Kubeflow would ask for none
    gpu_resource: str = "nvidia.com/gpu",
    node_selector: dict = {},  # noqa: B006
    tolerations: list = [],  # noqa: B006
) -> None:
    """Train and tune a digit classifier; register it when it is good enough and not worse than the champion.

    Args:
        data: "mnist", "digits" (scikit-learn's), or the path or URI of other 28x28 grey images in 10 classes.
        dataset_name: Name for other data; by default the last part of its address.
        data_version: A label of your own for this state of the data.
        fraction: Part of the training data to use, above 0 and at most 1.
        stratify: Keep the class balance in the validation split.
        split_seed: Seed of the split into training and validation; the tutorial's is 23.
        recipe: "fast", "best", or "seed" for the tutorial's training.
        epochs: Passes over the training split; 0 keeps the recipe's.
        batch_size: Images a step; 0 keeps the recipe's.
        learning_rate: Peak learning rate; 0 keeps the recipe's.
        seed: Seed of training and search.
        seeds: Trainings of the chosen configuration, each with another seed, for mean and standard deviation in the
            report; the first is the model.
        trials: Configurations to try in tuning, the baseline included.
        tuning_workers: Workers that share the trials, one pod each.
        tuning_seeds: Trainings, each with another seed, of the best trials and the baseline before one is chosen.
        search_space: Training options and the values to try, as JSON; empty for the default.
        min_accuracy: Test accuracy below which nothing is registered.
        skip_if_unchanged: End early where the champion was made of the same data, code and parameters.
        experiment_name: MLflow experiment; created when missing.
        model_name: Registered model; by default the data set's name and "-cnn".
        gpu_count: GPUs for each training and tuning task; 0 trains on the processor.
        gpu_resource: Kubernetes resource name of the GPUs.
        node_selector: Labels of the nodes for training and tuning, as JSON.
        tolerations: Tolerations for training and tuning, as a JSON list.
    """
    pool = {
        "count": gpu_count,
        "resource": gpu_resource,
        "node_selector": node_selector,
        "tolerations": tolerations,
    }
    close = prepared_task(close_run(pipeline_run_id=RUN_ID), "Close run")
    with dsl.ExitHandler(close, name="pipeline"):
        raw = durable(
            ingest(
                pipeline_run_id=RUN_ID,
                pipeline_run_name=dsl.PIPELINE_JOB_NAME_PLACEHOLDER,
                experiment_name=experiment_name,
                model_name=model_name,
                data=data,
                dataset_name=dataset_name,
                data_version=data_version,
            ),
            "Ingest",
        )
        prepared = durable(
            preprocess(
                raw=raw.outputs["raw"],
                pipeline_run_id=RUN_ID,
                fraction=fraction,
                stratify=stratify,
                split_seed=split_seed,
            ),
            "Preprocess",
        )
        development = prepared.outputs["development"]
        changes = durable(
            check_changes(
                development=development,
                pipeline_run_id=RUN_ID,
                model_name=model_name,
                skip_if_unchanged=skip_if_unchanged,
                recipe=recipe,
                epochs=epochs,
                batch_size=batch_size,
                learning_rate=learning_rate,
                seed=seed,
                seeds=seeds,
                trials=trials,
                tuning_workers=tuning_workers,
                tuning_seeds=tuning_seeds,
                search_space=search_space,
            ),
            "Check changes",
        )
        with dsl.If(changes.output == "train", name="there is something to do"):
            training = {
                "development": development,
                "pipeline_run_id": RUN_ID,
                "recipe": recipe,
                "epochs": epochs,
                "batch_size": batch_size,
                "learning_rate": learning_rate,
                "seed": seed,
                "gpu_count": gpu_count,
                "gpu_resource": gpu_resource,
            }
            baseline = train(step="train-baseline", overrides="{}", seeds=1, **training)
            on_accelerator(durable(baseline, "Train baseline", **COMPUTING), **pool)
            best = tune(
                development=development,
                baseline=baseline.outputs["model"],
                pipeline_run_id=RUN_ID,
                trials=trials,
                tuning_workers=tuning_workers,
                tuning_seeds=tuning_seeds,
                search_space=search_space,
                seed=seed,
                gpu_count=gpu_count,
                gpu_resource=gpu_resource,
                node_selector=node_selector,
                tolerations=tolerations,
            )
            best.set_display_name("Tune")
            tuned = train(step="train-tuned", overrides=best.output, seeds=seeds, **training)
            on_accelerator(durable(tuned, "Train tuned", **COMPUTING), **pool)
            evaluation = durable(
                evaluate(
                    test=prepared.outputs["test"],
                    development=development,
                    baseline=baseline.outputs["model"],
                    tuned=tuned.outputs["model"],
                    pipeline_run_id=RUN_ID,
                    model_name=model_name,
                    min_accuracy=min_accuracy,
                ),
                "Evaluate",
                **COMPUTING,
            )
            decision = durable(
                gate(evaluation=evaluation.outputs["evaluation"], pipeline_run_id=RUN_ID), "Gate"
            )
            with dsl.If(decision.output == "register", name="passed the gate"):
                durable(
                    register(
                        candidate=evaluation.outputs["candidate"],
                        evaluation=evaluation.outputs["evaluation"],
                        pipeline_run_id=RUN_ID,
                        model_name=model_name,
                    ),
                    "Register",
                )
