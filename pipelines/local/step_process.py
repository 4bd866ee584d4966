"""Processes of the steps, forked from one that has imported what they use; each import would take seconds."""

import atexit
import multiprocessing
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory

from components.common.compat.keras import import_keras
from components.common.narration import exit_on_stated_error
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
# Tasks that come before all others and use no TensorFlow: they run while it is imported.
FIRST = {"ingest", "preprocess", "check_changes"}
# A component's source, the arguments of kfp's executor, and the variables to set.
Task = tuple[str, list[str], dict[str, str]]


def start_importing() -> None:
    """Start the process that the steps are forked from; it imports while this one does other things."""
    from multiprocessing import forkserver

    export_defaults(QUIET)
    multiprocessing.set_forkserver_preload(["pipelines.local.imported"])
    export({RUNTIME: "true"})
    forkserver.ensure_running()
    withdraw(RUNTIME)


class KerasProcess:
    """A process that is forked from the one that imports, imports Keras too, and forks one for each task."""

    def __init__(self) -> None:
        asked, self._tasks = multiprocessing.Pipe(duplex=False)
        self._sending = threading.Lock()
        self._process = multiprocessing.get_context("forkserver").Process(target=_fork_for, args=(asked,))
        self._process.start()
        # At exit multiprocessing waits for it.
        atexit.register(self._process.terminate)

    def run(self, task: Task) -> int:
        """Run a task in a process forked from this one, and return its exit status, below 0 for a signal's number."""
        status, answer = multiprocessing.Pipe(duplex=False)
        try:
            with status:
                with self._sending, answer:
                    self._tasks.send((task, answer))
                wait([status, self._process.sentinel])
                if status.poll():
                    return int(status.recv())
        except (EOFError, OSError):  # an end of a pipe is gone, and the process with it
            pass
        print("error: the process that the steps are forked from has ended")
        return 1


@cache
def keras_process() -> KerasProcess | None:
    """Return the one process with Keras, once the other imports are done; it imports while this one goes on.

    None where a training may have to set a variable before.
    """
    return KerasProcess() if onednn_is_decided() else None


def run_step(full_command: Sequence[str], env_vars: Mapping[str, str] | None = None) -> int:
    """Run a task in a forked process, and return its exit status, 1 where a signal ended it.

    Args:
        full_command: The shell command by which kfp.local would start Python for the task.
        env_vars: Variables to add to the environment of the task.
    """
    _shell, _option, _script, source, *arguments = full_command
    task = source, arguments, environment(env_vars)
    name = arguments[arguments.index("--function_to_execute") + 1]
    if name not in FIRST and (keras := keras_process()):
        status = keras.run(task)
    else:
        status = _status(multiprocessing.get_context("forkserver").Process(target=_execute, args=task))
    return max(1, status) if status else 0


def _status(process: BaseProcess) -> int:
    """Run a process to its end, and return its exit status."""
    process.start()
    process.join()
    return 1 if process.exitcode is None else process.exitcode


def _fork_for(asked: Connection) -> None:
    """Import Keras, and start a process for each task that is asked for, until nobody can ask."""
    import_keras()
    while True:
        try:
            task, answer = asked.recv()
        except EOFError:
            return
        with answer:
            multiprocessing.get_context("fork").Process(target=_answer, args=(answer, task)).start()


def _answer(answer: Connection, task: Task) -> None:
    """Run a task in a process of its own, and send its exit status."""
    answer.send(_status(multiprocessing.get_context("fork").Process(target=_execute, args=task)))


def _execute(source: str, arguments: list[str], variables: dict[str, str]) -> None:
    from kfp.dsl.executor_main import executor_main

    export(variables)
    with TemporaryDirectory() as scratch:
        component = Path(scratch, "component.py")
        component.write_text(source, encoding="utf-8")
        sys.argv[1:] = ["--component_module_path", str(component), *arguments]
        # kfp writes the outputs when the step has ended.
        with exit_on_stated_error("outputs"):
            executor_main()
