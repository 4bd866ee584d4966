"""The `check-changes` step: does this run have anything to do?"""

from collections.abc import Mapping
from pathlib import Path

from components.common.data.dataset import read_info
from components.common.model.aliases import registered_model_name
from components.common.narration import say
from components.common.provenance import code_digest
from components.common.tracking.outbox import reason
from components.common.tracking.run import StepRun, step_run
from components.register.changes import changes_since_champion, parameters_digest

STEP = "check-changes"
TRAIN, SKIP = "train", "skip"


def check_changes_step(
    development: Path,
    pipeline_run_id: str,
    model_name: str,
    skip_if_unchanged: bool,
    parameters: Mapping[str, object],
) -> str:
    """Say "train", or "skip" where that is asked for and the champion was made of the same data, code and parameters.

    Notes in MLflow what the run is made of, for `register` to write on the version.
    """
    with step_run(pipeline_run_id, STEP) as run:
        made_of = {"code_digest": code_digest(), "parameters_digest": parameters_digest(parameters)}
        run.parent.set_tags(made_of)
        if not skip_if_unchanged:
            return TRAIN
        info = read_info(development)
        name = registered_model_name(model_name, info.name)
        champion = _unchanged_champion(run, name, {**made_of, "data_digest": info.digest})
        if champion is None:
            return TRAIN
        why = f"data, code and parameters are those of the champion, {name} version {champion}"
        run.parent.set_tags({"decision": SKIP, "decision_reasons": why})
        say(STEP, f"nothing to do: {why}")
        return SKIP


def _unchanged_champion(run: StepRun, name: str, identity: Mapping[str, str]) -> str | None:
    """Return the version of the champion that this run would make again, None where it would not."""
    if not run.run_id:
        say(STEP, "training, because without MLflow nobody knows the champion")
        return None
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient()
    try:
        tested_on = client.get_run(run.parent.run_id).data.tags.get("test_digest")
        changes = changes_since_champion(client, name, {**identity, "test_digest": tested_on})
    except MlflowException as error:
        say(STEP, f"training, because MLflow does not tell the champion: {reason(error)}")
        return None
    if changes.version is None:
        say(STEP, f"training, because {name} has no champion")
        return None
    if changes.changed:
        say(
            STEP,
            f"training, because of {name} version {changes.version} changed: {', '.join(changes.changed)}",
        )
        return None
    return changes.version
