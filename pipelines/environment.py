"""Variables of a step on a cluster, from the ConfigMap and the Secret `mnist-pipeline` in its namespace.

infra/base/steps declares the ConfigMap, infra/scripts/secrets.sh makes the Secret.
"""

from typing import Any

from kfp import dsl, kubernetes

NAME = "mnist-pipeline"
# From key to variable. Kubeflow's native MLflow integration sets MLFLOW_TRACKING_URI itself, and Kubernetes refuses a
# pod in which a variable has both a value and a reference: the ConfigMap's comes under another name.
SETTINGS = {
    "AWS_DEFAULT_REGION": "AWS_DEFAULT_REGION",
    "CHECKPOINT_DIR": "CHECKPOINT_DIR",
    "MLFLOW_DISABLE_TELEMETRY": "MLFLOW_DISABLE_TELEMETRY",
    "MLFLOW_TRACKING_URI": "DEFAULT_MLFLOW_TRACKING_URI",
    "OUTAGE_SECONDS": "OUTAGE_SECONDS",
    "S3_BUCKET": "S3_BUCKET",
    "S3_ENDPOINT_URL": "S3_ENDPOINT_URL",
}
CREDENTIALS = {name: name for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "OPTUNA_STORAGE")}


def with_environment(task: dsl.PipelineTask) -> Any:
    """Give the task the cluster's settings and credentials; those that are missing there stay unset.

    The step then reports a missing setting in one line. A pod with a required reference would wait for ever.
    """
    kubernetes.use_config_map_as_env(task, NAME, SETTINGS, optional=True)
    kubernetes.use_secret_as_env(task, NAME, CREDENTIALS, optional=True)
    return task
