"""Run the pipeline with kfp.local in this process: what `mnist-pipeline run` starts as a child."""

import json
import sys
import warnings

from kfp import local

from pipelines.pipeline import mnist_pipeline


def main(arguments: str, pipeline_root: str) -> int:
    """Run to the end; the exit status says whether every task succeeded.

    Args:
        arguments: The pipeline's arguments as a JSON object.
        pipeline_root: Directory for the tasks' artifacts.
    """
    # On one machine a failed task fails again, and its settings for a cluster mean nothing.
    warnings.filterwarnings("ignore", module="kfp.local")
    for component in mnist_pipeline.pipeline_spec.components.values():
        for task in component.dag.tasks.values():
            task.ClearField("retry_policy")
    local.init(local.SubprocessRunner(use_venv=False), pipeline_root=pipeline_root)
    try:
        mnist_pipeline(**json.loads(arguments))
    except RuntimeError as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
