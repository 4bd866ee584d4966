"""The MLflow run of a step for as long as the step works.

Tracking never stops the work. When MLflow stops answering, records wait, are sent when it answers again, and are
reported as lost when it does not until the step has ended.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from components.common.narration import exit_on_stated_error
from components.common.tracking import tags
from components.common.tracking.failures import reason
from components.common.tracking.run import StepRun
from components.common.tracking.tree import open_step_run

LAST_SECONDS = 60.0
# Kubernetes kills 30 seconds after SIGTERM, and people are less patient.
STOPPED_SECONDS = 10.0


@contextmanager
def step_run(pipeline_run_id: str, step: str, *, last: bool = True) -> Iterator[StepRun]:
    """Run a step's work inside its MLflow run; a user's error ends the process in one line.

    Args:
        pipeline_run_id: Kubeflow's id of the pipeline run.
        step: The step's name, unique within the pipeline.
        last: False where another task continues to write to the same step's run.
    """
    with exit_on_stated_error(step), tracked_work(pipeline_run_id, step, last=last) as run:
        yield run


@contextmanager
def tracked_work(pipeline_run_id: str, step: str, *, last: bool) -> Iterator[StepRun]:
    """Open the step's run, give it the status that the work ends with, and send what waits.

    Raises:
        PipelineError: MLflow has no such pipeline run. Errors of the work are raised as they are.
    """
    run, seconds = open_step_run(pipeline_run_id, step), LAST_SECONDS
    try:
        yield run
    except BaseException as error:
        for tracked in (run, run.parent):
            tracked.set_tags({tags.ERROR: f"{step}: {reason(error)}"})
        run.close("FAILED")
        if not isinstance(error, Exception):
            seconds = STOPPED_SECONDS
        raise
    else:
        if last:
            run.close()
    finally:
        run.end(seconds)
