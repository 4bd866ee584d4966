"""The pipeline that looks for drift: monitor, and a training where there is some."""

from kfp import dsl

from components.monitor.component import claim, monitor
from components.register.component import close_run
from pipelines.compat.kfp_tasks import options_set_quickly
from pipelines.pipeline import DEFAULTS, RUN_ID, durable, train_and_register

MODEL = "mnist-cnn"
REQUESTS = "s3://mnist-pipeline/requests"


@dsl.pipeline(name="mnist-monitoring", display_name="MNIST: look for drift, retrain")
@options_set_quickly()
def monitoring_pipeline(
    monitor_model: str = MODEL,
    monitor_requests: str = REQUESTS,
    monitor_hours: int = 24,
    monitor_retrain: bool = False,
    monitor_allow_unsigned: bool = False,
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
    """Compare the champion's requests with its reference; where they have drifted, train and register anew.

    Args:
        monitor_model: The registered model.
        monitor_requests: Where its requests are kept, s3://bucket/prefix.
        monitor_hours: Length of the window; the last whole one is looked at.
        monitor_retrain: Whether drift starts a training, once for each window.
        monitor_allow_unsigned: Whether the champion may be without a signature by a trusted key.
        data: Of the training, as in the pipeline mnist-pipeline, and so are those below.
        recipe: Of the training.
        trials: Of the training.
        options: Of the training.
        gpu_count: Of the training.
        gpu_resource: Of the training.
        node_selector: Of the training.
        node_affinity: Of the training.
        tolerations: Of the training.
    """
    close = durable(close_run(run_id=RUN_ID), "Close run", "notices")
    with dsl.ExitHandler(close, name="pipeline"):
        watched = monitor(
            model=monitor_model,
            requests=monitor_requests,
            hours=monitor_hours,
            allow_unsigned=monitor_allow_unsigned,
        )
        durable(watched, "Monitor", "monitoring", "verification", "notices")
        claimed = claim(run_id=RUN_ID, window=watched.outputs["window"], retrain=monitor_retrain)
        durable(claimed, "Claim", "monitoring")
        with dsl.If(claimed.output == "retrain", name="retrain"):
            nodes = (node_selector, node_affinity, tolerations)
            train_and_register(data, recipe, trials, options, gpu_count, gpu_resource, nodes)
