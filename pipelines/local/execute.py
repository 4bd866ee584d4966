"""The pipeline run by kfp.local in this process, which `mnist-pipeline run` starts as a child."""

import hashlib
import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.common.provenance import code_digest, lock_digest
from components.common.settings import environment, export
from pipelines.compat.kfp_local import (
    finished_without_files,
    identified_as,
    print_left_alone,
    processes_run_by,
)
from pipelines.local.attempts import tried_again
from pipelines.local.step_process import keras_process, run_step, start_importing

if TYPE_CHECKING:
    from kfp import local

# Directory of a run with what kfp.local notes of finished tasks, and digits of the digests in its name.
FINISHED, DIGITS = "finished", 12
# Of the id of a run, as many as the ids of MLflow have.
IDENTITY_DIGITS = 32


def main(request: str, image: str) -> int:
    """Import what a run needs, wait for the request of a run, and run it as `execute_pipeline` does.

    Args:
        request: A named pipe that gives one line of JSON: variables to set, and the first two arguments of
            `execute_pipeline`.
        image: Its last argument.
    """
    _prepare(image)
    with Path(request).open(encoding="utf-8") as pipe:
        variables, arguments, pipeline_root = json.loads(pipe.readline())
    export(variables)
    return execute_pipeline(arguments, pipeline_root, image)


def execute_pipeline(arguments: dict[str, Any], pipeline_root: str, image: str = "") -> int:
    """Run the pipeline to its end, and return 0 when every task succeeded, else 1.

    Tasks that have succeeded there before, with the same arguments and the same code, are not run again.

    Args:
        arguments: The pipeline's arguments.
        pipeline_root: Directory for the tasks' artifacts, named after the run.
        image: Runs the steps in containers of this image; without one they are processes here.
    """
    _prepare(image)
    from kfp import local

    from pipelines.compile import use_image
    from pipelines.local.containers import containers_of, docker_runner

    if not image:
        with processes_run_by(tried_again(run_step)):
            return _run(local.SubprocessRunner(use_venv=False), arguments, pipeline_root)
    run_name = Path(pipeline_root).name
    use_image(image)
    with containers_of(run_name):
        return _run(docker_runner(run_name, arguments["data"], environment()), arguments, pipeline_root)


def _prepare(image: str) -> None:
    if not image:
        start_importing()
    from pipelines.pipeline import mnist_pipeline

    # On one machine only what met an outage is tried again, and the settings for a cluster mean nothing.
    warnings.filterwarnings("ignore", module="kfp.local")
    spec = mnist_pipeline.pipeline_spec
    for task in spec.root.dag.tasks.values():  # the exit handler, which always runs, and all else
        task.ClearField("retry_policy")
    for component in spec.components.values():
        for task in component.dag.tasks.values():
            task.ClearField("retry_policy")
            task.caching_options.enable_cache = True
    if not image:
        keras_process()


def _run(
    runner: "local.SubprocessRunner | local.DockerRunner", arguments: dict[str, Any], pipeline_root: str
) -> int:
    from kfp import local

    from pipelines.pipeline import mnist_pipeline

    # kfp's key of a finished task does not know the code that the task imported.
    finished = Path(pipeline_root, FINISHED, f"{code_digest()[:DIGITS]}-{lock_digest()[:DIGITS]}")
    local.init(runner, pipeline_root=pipeline_root, enable_caching=True, cache_root=str(finished))
    # A run that goes on must have its id again, which is that of its run in MLflow. Of some thousand runs two would
    # share one of eight digits, as kfp gives, and the later would write into the run of the earlier.
    identity = hashlib.sha256(Path(pipeline_root).name.encode()).hexdigest()[:IDENTITY_DIGITS]
    try:
        with identified_as(identity), finished_without_files(), print_left_alone():
            mnist_pipeline(**arguments)
    except RuntimeError as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
