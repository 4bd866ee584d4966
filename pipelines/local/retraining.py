"""A run on this machine because the requests of a version have drifted."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from components.common.plan.run import RunPlan
from components.common.settings import kept_environment
from components.monitor.retraining import release_retraining
from pipelines.local.home import Home
from pipelines.local.run import Show, run_pipeline
from pipelines.local.summary import Summary, render
from pipelines.models.versions import all_servers
from pipelines.parameters import request

if TYPE_CHECKING:
    from components.monitor.step import Outcome


def retrain_version(home: Path, outcome: "Outcome", settings: Sequence[str], show: Show) -> Summary:
    """Run the pipeline with a version's plan; the claim is taken back where the run does not succeed.

    The run ends early where it would train the same again: with the same data, code and plan.

    Args:
        home: Home of the embedded platform.
        outcome: The look that found drift, with the claim to retrain.
        settings: "name=value" of options that count more than the version's plan.
        show: Called with every line for the terminal.

    Raises:
        PipelineError: As `run_pipeline`.
    """
    done = False
    try:
        with TemporaryDirectory() as scratch:
            file, plan = Path(scratch, RunPlan.FILE), outcome.lineage.plan
            file.write_text(plan.model_dump_json(exclude_defaults=True))
            asked = request(["gate.skip_if_unchanged=true", *settings], plan_file=file, local=True)
        summary = run_pipeline(Home(home), asked, show)
        for line in render(summary):
            show(line)
        done = not summary.error
        return summary
    finally:
        if not done:
            with kept_environment(), all_servers(home):
                release_retraining(outcome.found)
