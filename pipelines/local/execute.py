"""Run the pipeline with kfp.local in this process: what `mnist-pipeline run` starts as a child."""

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

from kfp import local

from pipelines.compile import use_image
from pipelines.local.containers import containers_of, docker_runner
from pipelines.pipeline import mnist_pipeline


def main(arguments: str, pipeline_root: str, image: str = "") -> int:
    """Run to the end; the exit status says whether every task succeeded.

    Args:
        arguments: The pipeline's arguments as a JSON object.
        pipeline_root: Directory for the tasks' artifacts, named after the run.
        image: Runs the steps in containers of this image; without one they are processes here.
    """
    # On one machine a failed task fails again, and its settings for a cluster mean nothing.
    warnings.filterwarnings("ignore", module="kfp.local")
    for component in mnist_pipeline.pipeline_spec.components.values():
        for task in component.dag.tasks.values():
            task.ClearField("retry_policy")
    given = json.loads(arguments)
    if not image:
        return _run(local.SubprocessRunner(use_venv=False), given, pipeline_root)
    run_name = Path(pipeline_root).name
    use_image(image)
    with containers_of(run_name):
        return _run(docker_runner(run_name, given["data"], os.environ), given, pipeline_root)


def _run(
    runner: local.SubprocessRunner | local.DockerRunner, arguments: dict[str, Any], pipeline_root: str
) -> int:
    local.init(runner, pipeline_root=pipeline_root)
    try:
        mnist_pipeline(**arguments)
    except RuntimeError as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
