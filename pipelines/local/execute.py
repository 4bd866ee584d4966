"""The pipeline run by kfp.local in this process, which `mnist-pipeline run` starts as a child."""

import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.common.settings import environment, export
from pipelines.compat.kfp_local import processes_run_by
from pipelines.local.attempts import tried_again
from pipelines.local.step_process import run_step, start_importing

if TYPE_CHECKING:
    from kfp import local


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
    for component in mnist_pipeline.pipeline_spec.components.values():
        for task in component.dag.tasks.values():
            task.ClearField("retry_policy")


def _run(
    runner: "local.SubprocessRunner | local.DockerRunner", arguments: dict[str, Any], pipeline_root: str
) -> int:
    from kfp import local

    from pipelines.pipeline import mnist_pipeline

    local.init(runner, pipeline_root=pipeline_root)
    try:
        mnist_pipeline(**arguments)
    except RuntimeError as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
