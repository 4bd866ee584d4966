"""Settings, credentials and keys of a step on a cluster, and only those that it needs.

They are in ConfigMaps and Secrets of its namespace. infra/base/steps declares the ConfigMap `mnist-pipeline`;
infra/scripts/secrets.sh makes the Secrets and the ConfigMap of public keys. infra/components/steps-environment has
further variables, which every step is given.
"""

from collections.abc import Collection
from typing import Any, Literal

from kfp import dsl, kubernetes

from components.common.settings import variables_of

NAME = "mnist-pipeline"
# Policies of the network select pods by it.
STEP_LABEL = f"{NAME}/step"
# The user of the images. Kubernetes refuses to start a pod of root.
USER = 65532

Need = Literal["store", "monitoring", "data", "database", "signing", "verification", "notices"]
# From key to variable. Kubeflow's native MLflow integration sets address, login and workspace itself, and Kubernetes
# refuses a pod in which a variable has both a value and a reference: those from here come under other names.
SETTINGS = {
    "AWS_DEFAULT_REGION": "AWS_DEFAULT_REGION",
    "CHECKPOINT_DIR": "CHECKPOINT_DIR",
    "DATA_ALLOW_PRIVATE": "DATA_ALLOW_PRIVATE",
    "MLFLOW_DISABLE_TELEMETRY": "MLFLOW_DISABLE_TELEMETRY",
    "MLFLOW_TRACKING_URI": "DEFAULT_MLFLOW_TRACKING_URI",
    "MLFLOW_WORKSPACE": "DEFAULT_MLFLOW_WORKSPACE",
    "OUTAGE_SECONDS": "OUTAGE_SECONDS",
    "S3_ADDRESSING_STYLE": "S3_ADDRESSING_STYLE",
    "S3_BUCKET": "S3_BUCKET",
    "S3_ENDPOINT_URL": "S3_ENDPOINT_URL",
    "S3_SIGNATURE_VERSION": "S3_SIGNATURE_VERSION",
}
# Every step writes to MLflow.
LOGIN = {
    f"MLFLOW_TRACKING_{part}": f"DEFAULT_MLFLOW_TRACKING_{part}" for part in ("USERNAME", "PASSWORD", "TOKEN")
}
# The Secret, and the variables that it holds under their names.
CREDENTIALS: dict[Need, tuple[str, tuple[str, ...]]] = {
    "data": (f"{NAME}-data", ("DATA_URI",)),
    "store": (NAME, ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")),
    # Of an identity of its own, which may read requests and add labelled batches.
    "monitoring": (
        f"{NAME}-monitoring",
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    ),
    "database": (NAME, ("OPTUNA_STORAGE",)),
    "signing": (f"{NAME}-signing", ("MODEL_SIGNING_KEY",)),
    "notices": (
        f"{NAME}-notices",
        (
            "NOTIFY_SLACK_URL",
            "NOTIFY_WEBHOOK_URL",
            "NOTIFY_WEBHOOK_SECRET",
            "NOTIFY_SMTP_URL",
            "NOTIFY_MAIL_TO",
            "NOTIFY_MAIL_FROM",
            "NOTIFY_KINDS",
            "MLFLOW_UI_URL",
        ),
    ),
}
# Directories of any further variables, by the ConfigMap and the Secret that are mounted there. As references they would
# need a list of their names, and a proxy that Kubeflow gives a pod too would be there twice. Kubeflow names a volume
# after its source, so the two have different names.
MOUNTED = {
    f"{NAME}-environment": "/etc/mnist-pipeline/environment",
    f"{NAME}-secret-environment": "/etc/mnist-pipeline/secret-environment",
}
(STEP_ENVIRONMENT,) = variables_of("step_environment")
PUBLIC_KEYS = (f"{NAME}-public-keys", ("MODEL_PUBLIC_KEYS",))


def with_environment(task: dsl.PipelineTask, step: str, needs: Collection[Need] = ()) -> Any:
    """Give the task the cluster's settings and what it needs; what is missing there stays unset.

    The step then reports a missing setting in one line. A pod with a required reference would wait for ever.

    Args:
        task: The task.
        step: Name of the step; it labels the pod.
        needs: "store": the object store's key. "monitoring": that of the tasks that look for drift.
            "data": the address of data that a signature or a password opens.
            "database": the address of the study, with its password.
            "signing": the private key that signs models. "verification": the public keys that models are held to.
            "notices": the receivers of notices, whose addresses are secrets.
    """
    kubernetes.use_config_map_as_env(task, NAME, SETTINGS, optional=True)
    kubernetes.use_secret_as_env(task, NAME, LOGIN, optional=True)
    if "verification" in needs:
        config_map, public = PUBLIC_KEYS
        kubernetes.use_config_map_as_env(task, config_map, {key: key for key in public}, optional=True)
    for need in needs:
        if need in CREDENTIALS:
            secret, keys = CREDENTIALS[need]
            kubernetes.use_secret_as_env(task, secret, {key: key for key in keys}, optional=True)
    (config_map, directory), (secret, secret_directory) = MOUNTED.items()
    kubernetes.use_config_map_as_volume(task, config_map, directory, optional=True)
    kubernetes.use_secret_as_volume(task, secret, secret_directory, optional=True)
    task.set_env_variable(STEP_ENVIRONMENT, ":".join(MOUNTED.values()))
    kubernetes.add_pod_label(task, STEP_LABEL, step)
    kubernetes.set_security_context(task, run_as_user=USER, run_as_group=USER, run_as_non_root=True)
    return task
