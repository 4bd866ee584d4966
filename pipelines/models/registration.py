"""Registration of the candidate of a run whose last step failed."""

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from components.common.errors import PipelineError
from components.common.model.kept_candidate import fetch_candidate
from components.common.settings import leave_other_runs
from components.common.tracking import tags
from components.common.tracking.failures import mlflow_errors
from pipelines.models.reader import Reader, StoredRun, open_reader
from pipelines.models.versions import all_servers, operator, tell_champion


def register_run(home: Path, named: str, judgement_digest: str | None = None) -> str:
    """Register the candidate that a run left, with the checks of the step `register`, and return the outcome.

    A run that has registered its candidate is left as it is.

    Args:
        home: Home of the embedded platform, for what the settings do not name.
        named: Name or id in MLflow of a run of the pipeline.
        judgement_digest: SHA-256 of its judgement.json; None trusts whoever may write to the store.

    Raises:
        PipelineError: There is no such run, it goes on, it left no candidate, or a check fails.
    """
    from mlflow import MlflowClient

    from components.register.step import register_candidate

    # The run to register is `named`.
    leave_other_runs()
    with all_servers(home), open_reader(home) as reader, TemporaryDirectory() as scratch:
        run = _ended_run(reader, named)
        if version := run.tags.get(tags.MODEL_VERSION):
            return f"run {run.name} has registered {run.tags[tags.MODEL_NAME]} version {version} already"
        kept = fetch_candidate(run.tags[tags.PIPELINE_RUN], Path(scratch))
        if kept is None:
            raise PipelineError(
                f"the object store must keep a candidate of run {run.name} but keeps none "
                f"(its decision: {run.tags.get(tags.DECISION, 'none')}): name the store that the run used, or run the "
                "pipeline again."
            )
        try:
            made = register_candidate(
                kept.plan, candidate=kept.model, evaluation=kept.evaluation, judgement_digest=judgement_digest
            )
        except BaseException:
            # The step has opened the run again, and there is no exit handler: the next try would take it for one that
            # goes on.
            with suppress(*mlflow_errors()):
                MlflowClient().set_terminated(run.run_id, "FAILED")
            raise
        if not made.waits:
            tell_champion(made.name, made.version, operator(), f"registered from run {run.name}")
    return made.outcome


def _ended_run(reader: Reader, named: str) -> StoredRun:
    found = reader.pipeline_runs(1, named)
    if not found:
        raise PipelineError(
            f"a run must have the name or id of a run of the pipeline but {named!r} is none: "
            "choose one of `mnist-pipeline runs list`."
        )
    if found[0].status == "RUNNING":
        raise PipelineError(
            f"run {found[0].name} must have ended before its candidate is registered but goes on: wait for it."
        )
    return found[0]
