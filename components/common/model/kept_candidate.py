"""The candidate that passed the gate of a run, kept in the object store until it is registered."""

import tarfile
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from components.common.errors import PipelineError, StatedError
from components.common.model.judgement import Judgement
from components.common.narration import say
from components.common.patience import patiently
from components.common.plan.run import RunPlan
from components.common.storage.files import sha256_file
from components.common.storage.object_store import ObjectStore

MODEL, RECORDS = "model", "records"


@dataclass(frozen=True)
class KeptCandidate:
    """A candidate that was fetched.

    Attributes:
        plan: The plan of its run.
        model: Directory of the model to register.
        evaluation: Directory with judgement.json.
    """

    plan: RunPlan
    model: Path
    evaluation: Path


def keep_candidate(step: str, plan: RunPlan, model: Path, evaluation: Path) -> None:
    """Keep a candidate in the store that the settings name; without one, and in a lasting outage, it is not kept.

    Args:
        step: The step that keeps it.
        plan: The plan of its run.
        model: Directory of the model to register.
        evaluation: Directory with judgement.json.
    """
    store = ObjectStore.from_environment()
    if store is None:
        return
    with TemporaryDirectory() as scratch:
        plan.save(Path(scratch))
        packed = Path(scratch, "candidate.tar")
        with tarfile.open(packed, "w") as archive:
            archive.add(model, MODEL)
            archive.add(Path(scratch, RunPlan.FILE), f"{RECORDS}/{RunPlan.FILE}")
            archive.add(evaluation / Judgement.FILE, f"{RECORDS}/{Judgement.FILE}")
        key = f"{candidate_prefix(plan.run_id)}{sha256_file(packed)}.tar"
        try:
            patiently(step, lambda: store.upload(packed, key))
            # Of an earlier attempt at this step.
            _delete(store, plan.run_id, but=key)
        except StatedError as error:
            say(step, f"the candidate is not kept for `mnist-pipeline models register`: {error}")


def fetch_candidate(run_id: str, target: Path) -> KeptCandidate | None:
    """Fetch the candidate that was kept of a pipeline run.

    Args:
        run_id: Kubeflow's id of the pipeline run.
        target: New or empty directory.

    Returns:
        None where the store keeps none.

    Raises:
        PipelineError: No store is named, or what it keeps is damaged.
    """
    store = ObjectStore.from_environment()
    if store is None:
        raise PipelineError(
            "the object store of the run must be named but is not: set S3_ENDPOINT_URL or S3_BUCKET."
        )
    keys = store.keys(candidate_prefix(run_id))
    packed = target / "candidate.tar"
    target.mkdir(parents=True, exist_ok=True)
    if not keys or not store.download(keys[-1], packed):
        return None
    digest = keys[-1].removeprefix(candidate_prefix(run_id)).removesuffix(".tar")
    if sha256_file(packed) != digest:
        raise PipelineError(
            f"{store.uri(keys[-1])} must have the sha256 of its name but has not: run the pipeline again."
        )
    with tarfile.open(packed) as archive:
        archive.extractall(target, filter="data")
    return KeptCandidate(RunPlan.load(target / RECORDS), target / MODEL, target / RECORDS)


def forget_candidate(step: str, run_id: str) -> None:
    """Delete what is kept of a run; where the store does not answer it stays."""
    try:
        if store := ObjectStore.from_environment():
            _delete(store, run_id)
    except StatedError as error:
        say(step, f"the kept candidate of this run stays: {error}")


def _delete(store: ObjectStore, run_id: str, but: str = "") -> None:
    for key in store.keys(candidate_prefix(run_id)):
        if key != but:
            store.delete(key)


def candidate_prefix(run_id: str) -> str:
    """Return how the keys of what is kept of a pipeline run begin; those of all runs for ""."""
    return f"candidates/{run_id}/" if run_id else "candidates/"
