"""The `ingest` step: the first of a run, which makes its plan and opens it in MLflow."""

import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.common.data.source import SourceInfo, training_images
from components.common.errors import StatedError
from components.common.narration import exit_on_stated_error, say
from components.common.patience import patiently
from components.common.plan.names import LONGEST_LABEL
from components.common.plan.network import check_network
from components.common.plan.placement import parse_gpu_count
from components.common.plan.resolve import fitted, resolve_form
from components.common.plan.run import CURRENT_TIME, RunPlan
from components.common.printable import printable
from components.common.provenance import git_sha
from components.common.tracking import tags
from components.common.tracking.preflight import examine_servers, require_changeable
from components.common.tracking.step import step_run
from components.common.tracking.tree import open_pipeline_run
from components.ingest.collect import collect_data
from components.ingest.foreign import refuse_foreign_model, refuse_unsigned_champion

STEP = "ingest"


def ingest_step(
    form: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    run_id: str,
    run_name: str,
    gpu_count: str,
    plan_target: Path,
    raw_target: Path,
) -> SourceInfo:
    """Make the plan of the run, open the run in MLflow, examine the servers, and collect the data.

    Args:
        form: Values of the form's fields by the option's dotted name.
        options: Further options of the plan.
        run_id: Kubeflow's id of the pipeline run.
        run_name: Kubeflow's name of the pipeline run.
        gpu_count: GPUs that each training and search task asks for.
        plan_target: Directory for run.json, new or that of an earlier attempt.
        raw_target: New or empty directory for the data.
    """
    # Kubeflow's form takes any text; MLflow refuses a longer one.
    run_name = printable(run_name)[:LONGEST_LABEL]
    with exit_on_stated_error(STEP):
        gpus = parse_gpu_count(gpu_count)
        resolved = resolve_form(form, options, run_id=run_id, run_name=run_name, gpu_count=gpus)
        plan = resolved.plan
        open_pipeline_run(run_id, run_name, plan.registry.experiment)
    with step_run(run_id, STEP) as run:
        examine_servers(STEP, run.run_id, plan.registry.experiment)
        run.parent.keep_views(plan.search.space)
        now = f"{datetime.now(UTC):%Y%m%d%H%M%S}"
        version = plan.data.version.replace(CURRENT_TIME, now)
        info = collect_data(plan.data.model_copy(update={"version": version}), raw_target)
        derived = plan.data.name is None
        plan, note = fitted(resolved, training_images(info.counts, plan.data.fraction))
        if note:
            say(STEP, note)
        check_network(plan.training, info.spec)
        plan = plan.named(info.name, version)
        try:
            patiently(STEP, lambda: _refuse(plan, info, derived))
        except StatedError:
            # The next attempt finds the directory as this one did.
            shutil.rmtree(raw_target)
            raise
        plan_target.mkdir(parents=True, exist_ok=True)
        plan.save(plan_target)
        run.parent.set_tags(_tags(plan, info))
        run.log_metrics({f"images.{part}": count for part, count in info.counts.items()})
        run.parent.log_file(plan_target / RunPlan.FILE)
        run.log_file(raw_target / SourceInfo.FILE)
        return info


def _refuse(plan: RunPlan, info: SourceInfo, derived: bool) -> None:
    """Refuse a run whose model cannot join those that are registered under its name."""
    allow_unsigned = plan.registry.allow_unsigned
    if not allow_unsigned:
        refuse_unsigned_champion(plan.model_name)
    refuse_foreign_model(plan.model_name, info, derived=derived, allow_unsigned=allow_unsigned)
    require_changeable(plan.model_name)


def _tags(plan: RunPlan, info: SourceInfo) -> dict[str, str]:
    """Return what the run says of its data and plan in MLflow's tables."""
    return {
        tags.DATASET: info.name,
        "data_version": info.version,
        "data_source": info.source,
        "raw_digest": info.digest,
        "raw_files": json.dumps(info.files),
        tags.MODEL_NAME: plan.model_name,
        "plan_digest": plan.digest(),
        "git_sha": git_sha(),
    }
