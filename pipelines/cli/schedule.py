"""`mnist-pipeline schedule`: set, list, show, delete."""

from typing import Annotated

import typer

from pipelines.cli.answers import print_line
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

app = typer.Typer(help="Recurring runs: declared by name, set as often as you like.", no_args_is_help=True)


@app.command(name="set")
def set_command(
    name: Annotated[str, typer.Argument(help="Name of the schedule.")],
    cron: Annotated[
        str, typer.Option(help="When: '0 0 3 * * *' is 3:00 each day; a crontab's five fields will do.")
    ],
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
    of the champion; --set skip_if_unchanged=false lifts that.
    """
    from pipelines.cluster.connection import Address, connected
    from pipelines.cluster.cron import six_fields
    from pipelines.cluster.schedule import set_schedule

    fields = six_fields(cron)
    if len(cron.split()) == 5:
        print_line(f"Kubeflow's cron has six fields, seconds first: {cron!r} is set as {fields!r}.")
    request = checked_request(settings, plan)
    with connected(Address(host, namespace, token_file)) as cluster:
        done = set_schedule(
            cluster,
            name,
            fields,
            pipeline,
            experiment,
            request,
            create_experiment=create_experiment,
            service_account=service_account or None,
        )
    print_line(f"{done}  {name}  {fields}")


@app.command(name="list")
def list_command(
    host: HostOption = None, namespace: NamespaceOption = None, token_file: TokenOption = None
) -> None:
    """List the schedules."""
    from pipelines.cluster.connection import Address, connected
    from pipelines.cluster.schedule import cron_of, schedules

    with connected(Address(host, namespace, token_file)) as cluster:
        for entry in schedules(cluster):
            print_line(f"{(entry.status or '').lower():9} {cron_of(entry):20} {entry.display_name}")


@app.command(name="show")
def show_command(
    name: Annotated[str, typer.Argument(help="Name of the schedule.")],
    host: HostOption = None,
    namespace: NamespaceOption = None,
    token_file: TokenOption = None,
) -> None:
    """Show a schedule with its parameters."""
    from pipelines.cluster.connection import Address, connected
    from pipelines.cluster.schedule import existing_schedules, schedule_rows

    with connected(Address(host, namespace, token_file)) as cluster:
        for entry in existing_schedules(cluster, name):
            for title, value in schedule_rows(cluster, entry):
                print_line(f"{title:19} {value}")


@app.command(name="delete")
def delete_command(
    name: Annotated[str, typer.Argument(help="Name of the schedule.")],
    host: HostOption = None,
    namespace: NamespaceOption = None,
    token_file: TokenOption = None,
) -> None:
    """Delete a schedule, unless a run of it is in progress: Kubeflow would stop it."""
    from pipelines.cluster.connection import Address, connected
    from pipelines.cluster.schedule import delete_schedule

    with connected(Address(host, namespace, token_file)) as cluster:
        delete_schedule(cluster, name)
    print_line(f"deleted  {name}")
