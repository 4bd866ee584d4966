"""The `register` step, and the end of the run in MLflow."""

from pathlib import Path

from components.common.errors import PipelineError, UnavailableError
from components.common.model.judgement import Judgement
from components.common.model.kept_candidate import forget_candidate
from components.common.model.lineage import Lineage
from components.common.narration import exit_on_stated_error, say
from components.common.patience import patiently
from components.common.plan.run import RunPlan
from components.common.settings import settings
from components.common.storage.address import shown
from components.common.storage.files import file_digests, require_digests
from components.common.tracking import tags
from components.common.tracking.client import mlflow_must_answer
from components.common.tracking.step import tracked_work
from components.common.tracking.tree import close_pipeline_run, open_pipeline_run
from components.register.outcome import tell_failure, tell_outcome
from components.register.publish import Registration, publish

STEP = "register"


def register_step(plan: RunPlan, *, candidate: Path, evaluation: Path, judgement_digest: str) -> Registration:
    """Register the candidate as `register_candidate` does; a stated error ends the process in one line."""
    with exit_on_stated_error(STEP):
        return register_candidate(
            plan, candidate=candidate, evaluation=evaluation, judgement_digest=judgement_digest
        )


def register_candidate(
    plan: RunPlan, *, candidate: Path, evaluation: Path, judgement_digest: str | None
) -> Registration:
    """Register the candidate, and end the run in MLflow; no other work needs MLflow.

    Args:
        plan: The plan of the run.
        candidate: Directory of the model to register.
        evaluation: Directory with judgement.json.
        judgement_digest: SHA-256 of that file, as `evaluate` returned it; None trusts whoever may write the file.

    Raises:
        PipelineError: A check fails, or MLflow refuses.
        UnavailableError: MLflow or its store does not answer for OUTAGE_SECONDS.
    """
    uri = settings().mlflow_tracking_uri
    if not uri:
        raise PipelineError(
            "a model must be registered in MLflow but MLFLOW_TRACKING_URI is not set: name a server."
        )
    # The run may have begun while MLflow was away.
    open_pipeline_run(plan.run_id, plan.run_name, plan.registry.experiment)
    with tracked_work(plan.run_id, STEP, last=True) as run:
        if not run.tracked:
            raise UnavailableError(f"MLflow at {shown(uri)} must answer but does not: start that server.")
        if judgement_digest is not None:
            require_digests(evaluation, {Judgement.FILE: judgement_digest}, "the output of evaluate")
        lineage = Lineage(plan, Judgement.load(evaluation))
        require_judged(candidate, lineage.judgement)

        def published() -> Registration:
            with mlflow_must_answer():
                return publish(candidate, lineage, run_id=run.parent.run_id)

        registration = patiently(STEP, published)
        for tracked in (run, run.parent):
            tracked.set_tags(
                {tags.MODEL_NAME: registration.name, tags.MODEL_VERSION: registration.version}
                | ({tags.APPROVAL: tags.WAITING} if registration.waits else {})
            )
        run.parent.close()
        say(STEP, registration.outcome)
    forget_candidate(STEP, plan.run_id)
    return registration


def require_judged(candidate: Path, judgement: Judgement) -> None:
    """Check that a candidate is the one that was judged, and passed.

    Raises:
        PipelineError: A file is missing, added or changed, or the judgement is another.
    """
    if judgement.action != "register":
        raise PipelineError(
            f"the judgement on {candidate} must be to register it but is to {judgement.action} what there is: "
            "run the evaluation again."
        )
    judged, found = judgement.candidate_files, file_digests(candidate)
    if found != judged:
        differing = sorted(
            path for path in judged.keys() | found.keys() if judged.get(path) != found.get(path)
        )
        raise PipelineError(
            f"the candidate in {candidate} must be the model that was judged but {', '.join(differing[:3])} "
            f"differ{'s' * (len(differing) == 1)}: run the evaluation again."
        )


def close_run_step(run_id: str, state: str, message: str) -> None:
    """Give the pipeline's run in MLflow its status, and tell the receivers of notices what it came to.

    kfp's local runner and Kubeflow have two words for success. While MLflow is away, each attempt tells of a failure:
    nothing else remembers that the one before has done so.
    """
    succeeded = state in {"SUCCEEDED", "COMPLETE"}
    with exit_on_stated_error("close-run"):
        try:
            close_pipeline_run(run_id, succeeded=succeeded, message=message)
            tell_outcome(run_id, succeeded=succeeded, message=message)
        except UnavailableError as error:
            if not succeeded:
                tell_failure(run_id, message, str(error))
            raise
