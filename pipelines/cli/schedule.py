"""`mnist-pipeline schedule`: set, list, show, pause, resume, run-now, delete."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.answers import print_line, print_table
from pipelines.cli.cluster import (
    ACCOUNT,
    PIPELINE,
    AccountOption,
    CreateOption,
    ExperimentOption,
    HostOption,
    NamespaceOption,
    PipelineOption,
    TokenOption,
    checked_request,
)
from pipelines.cli.plan import PlanFlag, SetFlag

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

    from kfp_server_api import V2beta1RecurringRun

    from pipelines.cluster.connection import Address, Cluster

app = typer.Typer(help="Recurring runs: declared by name, set as often as you like.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(help="Name of the schedule.")]
WithinOption = Annotated[
    str | None,
    typer.Option(
        "--experiment", help="Experiment of the schedule; not needed where the name is in one alone."
    ),
]


@app.command(name="set")
def set_command(
    name: NameArgument,
    cron: Annotated[
        str, typer.Option(help="When: '0 0 3 * * *' is 3:00 each day; a crontab's five fields will do.")
    ],
    time_zone: Annotated[
        str | None, typer.Option(help="Time zone of --cron, --start and --end; by default the scheduler's.")
    ] = None,
    scheduler_time_zone: Annotated[
        str, typer.Option(help="CRON_SCHEDULE_TIMEZONE of Kubeflow's scheduler, which its API does not tell.")
    ] = "UTC",
    start: Annotated[str | None, typer.Option(help="Not before this time, such as 2027-01-31T18:00.")] = None,
    end: Annotated[str | None, typer.Option(help="Not after this time.")] = None,
    catch_up: Annotated[
        bool, typer.Option("--catch-up", help="Run once for each time that was missed, one after the other.")
    ] = False,
    host: HostOption = None,
    namespace: NamespaceOption = None,
    token_file: TokenOption = None,
    pipeline: PipelineOption = PIPELINE,
    experiment: ExperimentOption = "Default",
    create_experiment: CreateOption = False,
    settings: SetFlag = None,
    plan: PlanFlag = None,
    service_account: AccountOption = ACCOUNT,
) -> None:
    """Make the schedule be as declared: create it, replace it, or leave it as it is.

    It follows the newest uploaded version, one run at a time. Runs end early where data, code and plan are those
    of the champion; --set skip_if_unchanged=false lifts that. A paused schedule stays paused.
    """
    from pipelines.cluster.connection import Address, connected
    from pipelines.cluster.schedule import Declaration, set_schedule
    from pipelines.cluster.time_zone import check_bounds, time_given, zone_named

    scheduler = zone_named(scheduler_time_zone, "--scheduler-time-zone")
    zone = zone_named(time_zone, "--time-zone") if time_zone else scheduler
    first, last = time_given(start, "--start", zone), time_given(end, "--end", zone)
    check_bounds(first, last)
    fields = _fields(cron, zone, scheduler, first, last)
    declared = Declaration(name, pipeline, experiment, fields, first, last, catch_up, service_account or None)
    request = checked_request(settings, plan)
    with connected(Address(host, namespace, token_file)) as cluster:
        done, others = set_schedule(cluster, declared, request, create_experiment=create_experiment)
    print_line(f"{done}  {name}  {fields}")
    for *_, other_experiment, other_pipeline in others:
        print_line(
            f"left alone: another {name!r}, of pipeline {other_pipeline} in experiment {other_experiment}"
        )


def _fields(
    cron: str, zone: "tzinfo", scheduler: "tzinfo", start: "datetime | None", end: "datetime | None"
) -> str:
    """Return the scheduler's six fields, and say what was made of the user's."""
    from pipelines.cluster.cron import six_fields
    from pipelines.cluster.time_zone import cron_of_scheduler

    fields = six_fields(cron)
    if len(cron.split()) == 5:
        print_line(f"Kubeflow's cron has six fields, seconds first: {cron!r} is set as {fields!r}.")
    moved = cron_of_scheduler(fields, zone, scheduler, start, end)
    if moved != fields:
        print_line(f"Kubeflow's scheduler runs in {scheduler}: {fields!r} in {zone} is set as {moved!r}.")
    return moved


@app.command(name="list")
def list_command(
    host: HostOption = None, namespace: NamespaceOption = None, token_file: TokenOption = None
) -> None:
    """List the schedules of all pipelines and experiments that you may see."""
    from pipelines.cluster.connection import Address, connected
    from pipelines.cluster.schedule import described_schedules, schedules

    with connected(Address(host, namespace, token_file)) as cluster:
        rows = described_schedules(cluster, schedules(cluster))
    if rows:
        print_table([["state", "cron", "schedule", "experiment", "pipeline"], *rows])
    else:
        print_line("no schedules yet")


@app.command(name="show")
def show_command(
    name: NameArgument,
    host: HostOption = None,
    namespace: NamespaceOption = None,
    token_file: TokenOption = None,
    pipeline: PipelineOption = PIPELINE,
    experiment: WithinOption = None,
) -> None:
    """Show a schedule with its parameters."""
    from pipelines.cluster.connection import Address
    from pipelines.cluster.schedule import schedule_rows

    with _existing(Address(host, namespace, token_file), name, pipeline, experiment) as (cluster, found):
        for title, value in schedule_rows(cluster, found):
            print_line(f"{title:19} {value}")


@app.command(name="pause")
def pause_command(
    name: NameArgument,
    host: HostOption = None,
    namespace: NamespaceOption = None,
    token_file: TokenOption = None,
    pipeline: PipelineOption = PIPELINE,
    experiment: WithinOption = None,
) -> None:
    """Start no further runs of a schedule until it is resumed; a run in progress goes on."""
    from pipelines.cluster.connection import Address

    with _existing(Address(host, namespace, token_file), name, pipeline, experiment) as (cluster, found):
        cluster.client.disable_recurring_run(found.recurring_run_id)
    print_line(f"paused  {name}")


@app.command(name="resume")
def resume_command(
    name: NameArgument,
    host: HostOption = None,
    namespace: NamespaceOption = None,
    token_file: TokenOption = None,
    pipeline: PipelineOption = PIPELINE,
    experiment: WithinOption = None,
) -> None:
    """Start runs of a paused schedule again; those that it missed only where it was set with --catch-up."""
    from pipelines.cluster.connection import Address

    with _existing(Address(host, namespace, token_file), name, pipeline, experiment) as (cluster, found):
        cluster.client.enable_recurring_run(found.recurring_run_id)
    print_line(f"resumed  {name}")


@app.command(name="run-now")
def run_now_command(
    name: NameArgument,
    host: HostOption = None,
    namespace: NamespaceOption = None,
    token_file: TokenOption = None,
    pipeline: PipelineOption = PIPELINE,
    experiment: WithinOption = None,
) -> None:
    """Start a run as the schedule does, at once."""
    from pipelines.cluster.connection import Address
    from pipelines.cluster.schedule import start_scheduled

    with _existing(Address(host, namespace, token_file), name, pipeline, experiment) as (cluster, found):
        run_id = start_scheduled(cluster, found)
        print_line(f"run {run_id}  {cluster.link(f'runs/details/{run_id}')}")


@app.command(name="delete")
def delete_command(
    name: NameArgument,
    host: HostOption = None,
    namespace: NamespaceOption = None,
    token_file: TokenOption = None,
    pipeline: PipelineOption = PIPELINE,
    experiment: WithinOption = None,
) -> None:
    """Delete a schedule, unless a run of it is in progress: Kubeflow would stop it."""
    from pipelines.cluster.connection import Address
    from pipelines.cluster.schedule import delete_schedule

    with _existing(Address(host, namespace, token_file), name, pipeline, experiment) as (cluster, found):
        delete_schedule(cluster, found)
    print_line(f"deleted  {name}")


@contextmanager
def _existing(
    address: "Address", name: str, pipeline: str, experiment: str | None
) -> "Iterator[tuple[Cluster, V2beta1RecurringRun]]":
    """Connect to Kubeflow, and find the schedule there."""
    from pipelines.cluster.connection import connected
    from pipelines.cluster.schedule import existing_schedule

    with connected(address) as cluster:
        yield cluster, existing_schedule(cluster, name, pipeline, experiment)
