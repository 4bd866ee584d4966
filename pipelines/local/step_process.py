"""Processes of the steps, forked from one that has imported what they use; each import would take seconds."""

import multiprocessing
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from components.common.settings import environment, export, export_defaults, withdraw
from components.train.devices import onednn_is_decided

IMPORTED = (
    "boto3",
    "components.evaluate.step",
    "components.ingest.step",
    "components.preprocess.step",
    "components.register.check_step",
    "components.register.step",
    "components.train.step",
    "components.tune.step",
    "kfp.dsl.executor_main",
    "matplotlib.backends.backend_svg",
    "mlflow",
    "optuna.visualization.matplotlib",
    "scipy.ndimage",
    "scipy.optimize",
    "sklearn.datasets",
    "sklearn.model_selection",
)

# MLflow and TensorFlow read them at import.
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "TF_CPP_MIN_LOG_LEVEL": "3"}
# Set as in a container of Kubeflow, where kfp leaves out its compiler and its clients: they take seconds to import.
RUNTIME = "_KFP_RUNTIME"


def start_importing() -> None:
    """Start the process that the steps are forked from; it imports while this one does other things.

    It imports TensorFlow too, unless a training may have to set a variable before.
    """
    from multiprocessing import forkserver

    imported = [*IMPORTED, "keras"] if onednn_is_decided() else IMPORTED
    export_defaults(QUIET)
    multiprocessing.set_forkserver_preload(list(imported))
    export({RUNTIME: "true"})
    forkserver.ensure_running()
    withdraw(RUNTIME)


def run_step(full_command: Sequence[str], env_vars: Mapping[str, str] | None = None) -> int:
    """Run a task in a forked process, and return its exit status, 1 where a signal ended it.

    Args:
        full_command: The shell command by which kfp.local would start Python for the task.
        env_vars: Variables to add to the environment of the task.
    """
    _shell, _option, _script, source, *arguments = full_command
    process = multiprocessing.get_context("forkserver").Process(
        target=_execute, args=(source, arguments, environment(env_vars))
    )
    process.start()
    process.join()
    status = process.exitcode
    return 1 if status is None or status < 0 else status


def _execute(source: str, arguments: list[str], variables: dict[str, str]) -> None:
    from kfp.dsl.executor_main import executor_main

    export(variables)
    with TemporaryDirectory() as scratch:
        component = Path(scratch, "component.py")
        component.write_text(source, encoding="utf-8")
        sys.argv[1:] = ["--component_module_path", str(component), *arguments]
        executor_main()
