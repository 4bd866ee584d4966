"""`mnist-pipeline schedule`: recurring runs, declared by name."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from components.common.errors import PipelineError
from components.common.plan.run import CURRENT_TIME
from pipelines.cluster.connection import Cluster
from pipelines.cluster.follow import FINAL
from pipelines.cluster.lookup import MOST, experiment_id, named, pipeline_id, predicates, versions
from pipelines.parameters import Request

if TYPE_CHECKING:
    from kfp_server_api import V2beta1RecurringRun

# Options of every scheduled run, unless it is given others.
DEFAULTS: dict[str, Any] = {"gate.skip_if_unchanged": True, "data.version": CURRENT_TIME}


def set_schedule(
    cluster: Cluster,
    name: str,
    cron: str,
    pipeline: str,
    experiment: str,
    request: Request,
    *,
    create_experiment: bool,
    service_account: str | None,
) -> str:
    """Make `name` one enabled recurring run as declared, and return what was done.

    It uses the newest version of the pipeline, runs one at a time, and does not catch up on missed runs. The server
    cannot change a recurring run. One that differs is replaced: the new one is created before the old one is deleted.

    Returns:
        "created", "replaced" or "unchanged".

    Raises:
        PipelineError: No such pipeline or experiment, the newest version does not take the arguments, or a run of a
            schedule to be replaced is in progress.
    """
    identity = pipeline_id(cluster, pipeline)
    if identity is None or not versions(cluster, identity):
        raise PipelineError(
            f"--pipeline must be on the server but {pipeline!r} is not: run `mnist-pipeline upload` first."
        )
    in_experiment = experiment_id(cluster, experiment, create=create_experiment)
    wanted = _recurring_run(cluster, name, cron, identity, in_experiment, request, service_account)
    existing = schedules(cluster, name)
    kept = next((entry for entry in existing if _as_declared(entry, wanted)), None)
    outdated = [entry for entry in existing if entry is not kept]
    _check_idle(cluster, outdated)
    if kept is None:
        # The client's `create_recurring_run` requires a version, which the schedule would keep for ever.
        cluster.client.recurring_runs.recurring_run_service_create_recurring_run(recurring_run=wanted)
    for entry in outdated:
        cluster.client.delete_recurring_run(entry.recurring_run_id)
    if outdated:
        return "replaced"
    return "unchanged" if kept else "created"


def _recurring_run(
    cluster: Cluster,
    name: str,
    cron: str,
    pipeline_identity: str,
    experiment_identity: str,
    request: Request,
    service_account: str | None,
) -> "V2beta1RecurringRun":
    from kfp_server_api import (
        V2beta1CronSchedule,
        V2beta1PipelineVersionReference,
        V2beta1RecurringRun,
        V2beta1RuntimeConfig,
        V2beta1Trigger,
    )

    return V2beta1RecurringRun(
        display_name=name,
        experiment_id=experiment_identity,
        namespace=cluster.namespace,
        pipeline_version_reference=V2beta1PipelineVersionReference(pipeline_id=pipeline_identity),
        runtime_config=V2beta1RuntimeConfig(parameters=request.preferring(DEFAULTS).arguments()),
        trigger=V2beta1Trigger(cron_schedule=V2beta1CronSchedule(cron=cron)),
        max_concurrency="1",
        no_catchup=True,
        mode="ENABLE",
        service_account=service_account,
    )


def _check_idle(cluster: Cluster, entries: "Iterable[V2beta1RecurringRun]") -> None:
    """Refuse to delete a recurring run while a run of it is in progress.

    Kubernetes deletes the workflows of a recurring run with it. A run in progress would stop, and Kubeflow would show
    it as running for ever.
    """
    for entry in entries:
        unfinished = predicates(
            ("recurring_run_id", "is", entry.recurring_run_id),
            *(("state", "is not", state) for state in sorted(FINAL)),
        )
        runs = cluster.client.list_runs(
            page_size=1, experiment_id=entry.experiment_id, filter=unfinished
        ).runs
        if runs:
            raise PipelineError(
                f"a run of schedule {entry.display_name!r} is in progress, which Kubeflow would stop with it: "
                f"wait for its end, or terminate it ({cluster.link(f'runs/details/{runs[0].run_id}')})."
            )


def _as_declared(found: "V2beta1RecurringRun", wanted: "V2beta1RecurringRun") -> bool:
    def essence(recurring: "V2beta1RecurringRun") -> tuple[Any, ...]:
        reference = recurring.pipeline_version_reference
        return (
            recurring.experiment_id,
            reference and (reference.pipeline_id, reference.pipeline_version_id or None),
            recurring.runtime_config and recurring.runtime_config.parameters,
            cron_of(recurring),
            str(recurring.max_concurrency),
            bool(recurring.no_catchup),
        )

    # Without a requested service account, the server sets a default one.
    account = not wanted.service_account or wanted.service_account == found.service_account
    return essence(found) == essence(wanted) and account and found.status == "ENABLED"


def schedules(cluster: Cluster, name: str | None = None) -> "list[V2beta1RecurringRun]":
    """Return the recurring runs of that name, or all of them."""
    listed = cluster.client.list_recurring_runs(
        page_size=MOST, namespace=cluster.namespace, filter=named(name) if name else None
    )
    return list(listed.recurring_runs or [])


def delete_schedule(cluster: Cluster, name: str) -> int:
    """Delete every recurring run of that name, and return their number.

    Raises:
        PipelineError: There is none, or a run of it is in progress.
    """
    found = existing_schedules(cluster, name)
    _check_idle(cluster, found)
    for entry in found:
        cluster.client.delete_recurring_run(entry.recurring_run_id)
    return len(found)


def existing_schedules(cluster: Cluster, name: str) -> "list[V2beta1RecurringRun]":
    """Return the recurring runs of that name.

    Raises:
        PipelineError: There is none.
    """
    if found := schedules(cluster, name):
        return found
    others = ", ".join(sorted({entry.display_name for entry in schedules(cluster)})) or "none"
    raise PipelineError(
        f"a schedule must exist but {name!r} does not (there is: {others}): choose one of them."
    )


def cron_of(recurring: "V2beta1RecurringRun") -> str:
    """Return the cron expression, empty where there is none."""
    trigger = recurring.trigger
    return (trigger and trigger.cron_schedule and trigger.cron_schedule.cron) or ""


def schedule_rows(cluster: Cluster, recurring: "V2beta1RecurringRun") -> Iterator[tuple[str, str]]:
    """Yield title and value of each fact about a schedule."""
    reference = recurring.pipeline_version_reference
    pinned = reference and reference.pipeline_version_id
    yield "name", recurring.display_name
    yield (
        "cron",
        f"{cron_of(recurring)} (second minute hour day month weekday, in the cluster's schedule time zone)",
    )
    yield "state", (recurring.status or "").lower()
    yield "pipeline version", f"pinned to {pinned}" if pinned else "the newest at every run"
    yield "at a time", str(recurring.max_concurrency)
    yield "catches up", "no" if recurring.no_catchup else "yes"
    parameters = (recurring.runtime_config and recurring.runtime_config.parameters) or {}
    for parameter, value in sorted(parameters.items()):
        yield f"  {parameter}", str(value)
    yield "in Kubeflow", cluster.link(f"recurringrun/details/{recurring.recurring_run_id}")
