"""Processes of the steps, forked from one that has imported what they use; each import would take seconds."""

import multiprocessing
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from components.common.settings import export

# Without TensorFlow: a step sets variables before it imports TensorFlow.
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
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
    "mlflow",
    "optuna.visualization.matplotlib",
    "scipy.ndimage",
    "scipy.optimize",
    "sklearn.datasets",
    "sklearn.model_selection",
)


def start_importing() -> None:
    """Start the process that the steps are forked from; it imports while this one does other things."""
    from multiprocessing import forkserver

    multiprocessing.set_forkserver_preload(list(IMPORTED))
    forkserver.ensure_running()


def run_step(full_command: Sequence[str], env_vars: Mapping[str, str] | None = None) -> int:
    """Run a task in a forked process, and return 0 when it succeeded, else 1.

    Args:
        full_command: The shell command by which kfp.local would start Python for the task.
        env_vars: Variables to add to the environment of the task.
    """
    _shell, _option, _script, source, *arguments = full_command
    process = multiprocessing.get_context("forkserver").Process(
        target=_execute, args=(source, arguments, dict(env_vars or {}))
    )
    process.start()
    process.join()
    return 0 if process.exitcode == 0 else 1


def _execute(source: str, arguments: list[str], environment: dict[str, str]) -> None:
    from kfp.dsl.executor_main import executor_main

    export(environment)
    with TemporaryDirectory() as scratch:
        component = Path(scratch, "component.py")
        component.write_text(source, encoding="utf-8")
        sys.argv[1:] = ["--component_module_path", str(component), *arguments]
        executor_main()
