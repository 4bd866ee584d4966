"""`mnist-pipeline schedule`: recurring runs, declared by name."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
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


@dataclass(frozen=True)
class Declaration:
    """What a schedule is declared to be; its name is its own within a pipeline and an experiment.

    Attributes:
        name: Its name.
        pipeline: Name of the pipeline.
        experiment: Name of the experiment.
        cron: Six fields, in the time zone of Kubeflow's scheduler.
        start: It does not run before this time; None for no such bound.
        end: Nor after this one.
        catch_up: Whether it runs once for each time that it missed.
        service_account: Kubernetes service account of its runs; None for the server's choice.
    """

    name: str
    pipeline: str
    experiment: str
    cron: str
    start: datetime | None = None
    end: datetime | None = None
    catch_up: bool = False
    service_account: str | None = None


def set_schedule(
    cluster: Cluster, declared: Declaration, request: Request, *, create_experiment: bool
) -> tuple[str, list[list[str]]]:
    """Make the schedule be as declared, and return what was done.

    It uses the newest version of the pipeline, and runs one at a time. The server cannot change a recurring run. One
    that differs is replaced: the new one is created before the old one is deleted. A paused one stays paused. Schedules
    of the same name for another pipeline or in another experiment are left alone.

    Returns:
        "created", "replaced" or "unchanged", with ", paused" where it is; and what was left alone, as by
        `described_schedules`.

    Raises:
        PipelineError: No such pipeline or experiment, the newest version does not take the arguments, or a run of a
            schedule to be replaced is in progress.
    """
    identity = _pipeline(cluster, declared.pipeline)
    if not versions(cluster, identity):
        raise PipelineError(
            f"--pipeline must have a version but {declared.pipeline!r} has none: run `mnist-pipeline upload` first."
        )
    in_experiment = experiment_id(cluster, declared.experiment, create=create_experiment)
    existing: list[V2beta1RecurringRun] = []
    others: list[V2beta1RecurringRun] = []
    for entry in schedules(cluster, declared.name):
        own = (_pipeline_of(entry), entry.experiment_id) == (identity, in_experiment)
        (existing if own else others).append(entry)
    paused = bool(existing) and all(entry.status == "DISABLED" for entry in existing)
    wanted = _recurring_run(cluster, declared, identity, in_experiment, request, paused=paused)
    kept = next((entry for entry in existing if _as_declared(entry, wanted)), None)
    outdated = [entry for entry in existing if entry is not kept]
    _check_idle(cluster, outdated)
    if kept is None:
        # The client's `create_recurring_run` requires a version, which the schedule would keep for ever.
        cluster.client.recurring_runs.recurring_run_service_create_recurring_run(recurring_run=wanted)
    for entry in outdated:
        cluster.client.delete_recurring_run(entry.recurring_run_id)
    done = "replaced" if outdated else "unchanged" if kept else "created"
    return f"{done}{', paused' * paused}", described_schedules(cluster, others) if others else []


def _pipeline(cluster: Cluster, name: str) -> str:
    identity = pipeline_id(cluster, name)
    if identity is None:
        raise PipelineError(
            f"--pipeline must be on the server but {name!r} is not: run `mnist-pipeline upload` first."
        )
    return identity


def _pipeline_of(recurring: "V2beta1RecurringRun") -> str | None:
    reference = recurring.pipeline_version_reference
    return reference.pipeline_id if reference else None


def _recurring_run(
    cluster: Cluster,
    declared: Declaration,
    pipeline_identity: str,
    experiment_identity: str,
    request: Request,
    *,
    paused: bool,
) -> "V2beta1RecurringRun":
    from kfp_server_api import (
        V2beta1CronSchedule,
        V2beta1PipelineVersionReference,
        V2beta1RecurringRun,
        V2beta1RuntimeConfig,
        V2beta1Trigger,
    )

    schedule = V2beta1CronSchedule(cron=declared.cron, start_time=declared.start, end_time=declared.end)
    return V2beta1RecurringRun(
        display_name=declared.name,
        experiment_id=experiment_identity,
        namespace=cluster.namespace,
        pipeline_version_reference=V2beta1PipelineVersionReference(pipeline_id=pipeline_identity),
        runtime_config=V2beta1RuntimeConfig(parameters=request.preferring(DEFAULTS).arguments()),
        trigger=V2beta1Trigger(cron_schedule=schedule),
        max_concurrency="1",
        no_catchup=not declared.catch_up,
        mode="DISABLE" if paused else "ENABLE",
        service_account=declared.service_account,
    )


def _check_idle(cluster: Cluster, entries: "Iterable[V2beta1RecurringRun]") -> None:
    """Refuse to delete a recurring run while a run of it is in progress.

    Kubernetes deletes the workflows of a recurring run with it. A run in progress would stop, and Kubeflow would show
    it as running for ever.
    """
    for entry in entries:
        if (running := _running(cluster, entry)) is not None:
            raise PipelineError(
                f"a run of schedule {entry.display_name!r} is in progress, which Kubeflow would stop with it: "
                f"wait for its end, or stop it ({cluster.link(f'runs/details/{running}')})."
            )


def _running(cluster: Cluster, recurring: "V2beta1RecurringRun") -> str | None:
    """Return the id of a run of the schedule that is in progress, None where there is none."""
    unfinished = predicates(
        ("recurring_run_id", "is", recurring.recurring_run_id),
        *(("state", "is not", state) for state in sorted(FINAL)),
    )
    runs = cluster.client.list_runs(
        page_size=1, experiment_id=recurring.experiment_id, filter=unfinished
    ).runs
    return str(runs[0].run_id) if runs else None


def _as_declared(found: "V2beta1RecurringRun", wanted: "V2beta1RecurringRun") -> bool:
    def essence(recurring: "V2beta1RecurringRun") -> tuple[Any, ...]:
        reference = recurring.pipeline_version_reference
        return (
            recurring.experiment_id,
            reference and (reference.pipeline_id, reference.pipeline_version_id or None),
            recurring.runtime_config and recurring.runtime_config.parameters,
            cron_of(recurring),
            bounds_of(recurring),
            str(recurring.max_concurrency),
            bool(recurring.no_catchup),
        )

    # Without a requested service account, the server sets a default one.
    account = not wanted.service_account or wanted.service_account == found.service_account
    return essence(found) == essence(wanted) and account


def schedules(cluster: Cluster, name: str | None = None) -> "list[V2beta1RecurringRun]":
    """Return the recurring runs of that name, or all of them, whatever pipeline and experiment they are of."""
    found: list[V2beta1RecurringRun] = []
    token = ""
    while True:
        listed = cluster.client.list_recurring_runs(
            page_token=token,
            page_size=MOST,
            namespace=cluster.namespace,
            filter=named(name) if name else None,
        )
        found += listed.recurring_runs or []
        token = listed.next_page_token
        if not token:
            return found


def described_schedules(cluster: Cluster, entries: "Iterable[V2beta1RecurringRun]") -> list[list[str]]:
    """Return state, cron, name, experiment and pipeline of each recurring run."""
    client = cluster.client
    experiments = client.list_experiments(page_size=MOST, namespace=cluster.namespace).experiments or []
    pipelines = client.list_pipelines(page_size=MOST, namespace=cluster.namespace).pipelines or []
    experiment = {entry.experiment_id: entry.display_name for entry in experiments}
    pipeline = {entry.pipeline_id: entry.display_name for entry in pipelines}
    return [
        [
            state_of(entry),
            cron_of(entry),
            entry.display_name,
            experiment.get(entry.experiment_id, entry.experiment_id),
            pipeline.get(_pipeline_of(entry), _pipeline_of(entry) or "of its own"),
        ]
        for entry in entries
    ]


def existing_schedule(
    cluster: Cluster, name: str, pipeline: str, experiment: str | None
) -> "V2beta1RecurringRun":
    """Return the pipeline's recurring run of that name.

    Args:
        cluster: The server.
        name: Name of the schedule.
        pipeline: Name of the pipeline.
        experiment: Name of the experiment; None where the pipeline has the name in one alone.

    Raises:
        PipelineError: There is none, or there are several.
    """
    identity = _pipeline(cluster, pipeline)
    within = experiment_id(cluster, experiment, create=False) if experiment else None
    of_pipeline = [entry for entry in schedules(cluster) if _pipeline_of(entry) == identity]
    found = [
        entry for entry in of_pipeline if entry.display_name == name and within in {None, entry.experiment_id}
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        others = ", ".join(sorted({entry.display_name for entry in of_pipeline})) or "none"
        raise PipelineError(
            f"a schedule of pipeline {pipeline!r} must exist but {name!r} does not (there is: {others}): "
            "choose one of them."
        )
    places = ", ".join(row[3] for row in described_schedules(cluster, found))
    raise PipelineError(
        f"a schedule must be named by itself but {name!r} is in several experiments ({places}): "
        "name one with --experiment, or delete the one too many in Kubeflow's UI."
    )


def delete_schedule(cluster: Cluster, recurring: "V2beta1RecurringRun") -> None:
    """Delete a recurring run.

    Raises:
        PipelineError: A run of it is in progress.
    """
    _check_idle(cluster, [recurring])
    cluster.client.delete_recurring_run(recurring.recurring_run_id)


def start_scheduled(cluster: Cluster, recurring: "V2beta1RecurringRun") -> str:
    """Start a run as the schedule does, of the newest version, and return its id.

    Raises:
        PipelineError: A run of the schedule is in progress; it runs one at a time.
    """
    from kfp_server_api import V2beta1PipelineVersionReference, V2beta1Run

    if (running := _running(cluster, recurring)) is not None:
        raise PipelineError(
            f"a schedule runs one at a time but a run of {recurring.display_name!r} is in progress: "
            f"wait for its end ({cluster.link(f'runs/details/{running}')}), or start another with `submit`."
        )
    identity = _pipeline_of(recurring)
    pinned = recurring.pipeline_version_reference.pipeline_version_id
    version = pinned or versions(cluster, identity or "")[0].pipeline_version_id
    started = cluster.client.runs.run_service_create_run(
        run=V2beta1Run(
            display_name=f"{recurring.display_name}-{datetime.now(UTC):%Y%m%d-%H%M%S}",
            experiment_id=recurring.experiment_id,
            pipeline_version_reference=V2beta1PipelineVersionReference(
                pipeline_id=identity, pipeline_version_id=version
            ),
            runtime_config=recurring.runtime_config,
            service_account=recurring.service_account,
        )
    )
    return str(started.run_id)


def state_of(recurring: "V2beta1RecurringRun") -> str:
    """Return "enabled", "paused" or the server's own word."""
    return "paused" if recurring.status == "DISABLED" else (recurring.status or "").lower()


def bounds_of(recurring: "V2beta1RecurringRun") -> tuple[float, float]:
    """Return the seconds since 1970 of a schedule's start and end; 0 for none, which the server may give as 1970."""
    cron = recurring.trigger and recurring.trigger.cron_schedule
    start, end = (getattr(cron, name, None) for name in ("start_time", "end_time"))
    return tuple(  # type: ignore[return-value]
        max(0.0, time.timestamp()) if isinstance(time, datetime) else 0.0 for time in (start, end)
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
    for title, second in zip(("start", "end"), bounds_of(recurring), strict=True):
        if second:
            yield title, f"{datetime.fromtimestamp(second, UTC):%Y-%m-%d %H:%M:%S} UTC"
    yield "state", state_of(recurring)
    yield "pipeline version", f"pinned to {pinned}" if pinned else "the newest at every run"
    yield "at a time", str(recurring.max_concurrency)
    yield "catches up", "no" if recurring.no_catchup else "yes"
    parameters = (recurring.runtime_config and recurring.runtime_config.parameters) or {}
    for parameter, value in sorted(parameters.items()):
        yield f"  {parameter}", str(value)
    yield "in Kubeflow", cluster.link(f"recurringrun/details/{recurring.recurring_run_id}")
