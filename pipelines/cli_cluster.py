"""The commands for a Kubeflow cluster: submit, upload, schedule."""

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer()
schedule_app = typer.Typer(
    help="Recurring runs: declared by name, set as often as you like.", no_args_is_help=True
)
app.add_typer(schedule_app, name="schedule")

HostOption = Annotated[
    str | None,
    typer.Option(
        envvar="KF_PIPELINES_ENDPOINT",
        help="Address of Kubeflow Pipelines; without it kubectl forwards a port. KFP_TOKEN may hold a token.",
    ),
]
NamespaceOption = Annotated[
    str | None, typer.Option(help="Your profile, where Kubeflow serves several users.")
]
TokenOption = Annotated[
    Path | None,
    typer.Option(envvar="KFP_TOKEN_FILE", help="File with a bearer token, read anew for every request."),
]
ImageOption = Annotated[
    str | None,
    typer.Option(help="Image of the steps, by digest or by commit; by default mnist-pipeline:COMMIT."),
]
ExperimentOption = Annotated[str, typer.Option(help="Experiment in Kubeflow to run in.")]
CreateOption = Annotated[bool, typer.Option("--create-experiment", help="Create it when it is missing.")]
SettingsOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Any pipeline parameter; may be repeated."),
]
AccountOption = Annotated[
    str | None, typer.Option(help="Kubernetes service account of the run; by default the server's choice.")
]
PipelineOption = Annotated[str, typer.Option(help="Name of the pipeline in Kubeflow.")]
PIPELINE = "mnist-pipeline"


def _arguments(settings: list[str] | None) -> dict[str, Any]:
    from pipelines.parameters import check_arguments, parse_settings

    arguments = parse_settings(settings or [])
    check_arguments(arguments)
    return arguments


@app.command()
def submit(
    host: HostOption = None,
    namespace: NamespaceOption = None,
    token_file: TokenOption = None,
    experiment: ExperimentOption = "Default",
    create_experiment: CreateOption = False,
    image: ImageOption = None,
    settings: SettingsOption = None,
    service_account: AccountOption = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow the steps; the exit status is the run's.")
    ] = False,
) -> None:
    """Run the pipeline on a Kubeflow cluster."""
    from pipelines.cluster.connection import Address, connected
    from pipelines.cluster.follow import follow
    from pipelines.cluster.package import compiled
    from pipelines.cluster.submit import submit as submit_run
    from pipelines.compile import default_image

    arguments = _arguments(settings)
    with (
        compiled(image or default_image()) as package,
        connected(Address(host, namespace, token_file)) as cluster,
    ):
        run_id = submit_run(
            cluster,
            package,
            experiment,
            arguments,
            create_experiment=create_experiment,
            service_account=service_account,
        )
        typer.echo(f"run {run_id}  {cluster.link(f'runs/details/{run_id}')}")
        if not wait:
            return
        try:
            state = follow(cluster, run_id, package.steps, typer.echo)
        except KeyboardInterrupt:
            typer.echo("no longer following; the run goes on.")
            raise
    if state != "SUCCEEDED":
        raise typer.Exit(1)


@app.command()
def upload(
    host: HostOption = None,
    namespace: NamespaceOption = None,
    token_file: TokenOption = None,
    pipeline: PipelineOption = PIPELINE,
    image: ImageOption = None,
) -> None:
    """Add this code as the newest version of the pipeline on a Kubeflow cluster."""
    from pipelines.cluster.connection import Address, connected
    from pipelines.cluster.package import compiled
    from pipelines.cluster.upload import upload as upload_version
    from pipelines.compile import default_image

    with (
        compiled(image or default_image()) as package,
        connected(Address(host, namespace, token_file)) as cluster,
    ):
        uploaded = upload_version(cluster, package, pipeline)
        typer.echo(f"version {uploaded.version}  {uploaded.link}")


@schedule_app.command(name="set")
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
    settings: SettingsOption = None,
    service_account: AccountOption = None,
) -> None:
    """Make the schedule be as declared: create it, replace it, or leave it as it is.

    It follows the newest uploaded version, one run at a time. Runs end early where data, code and parameters are those
    of the champion; --set skip_if_unchanged=false lifts that.
    """
    from pipelines.cluster.connection import Address, connected
    from pipelines.cluster.cron import six_fields
    from pipelines.cluster.schedule import set_schedule

    fields = six_fields(cron)
    if len(cron.split()) == 5:
        typer.echo(f"Kubeflow's cron has six fields, seconds first: {cron!r} is set as {fields!r}.")
    arguments = _arguments(settings)
    with connected(Address(host, namespace, token_file)) as cluster:
        done = set_schedule(
            cluster,
            name,
            fields,
            pipeline,
            experiment,
            arguments,
            create_experiment=create_experiment,
            service_account=service_account,
        )
    typer.echo(f"{done}  {name}  {fields}")


@schedule_app.command(name="list")
def list_command(
    host: HostOption = None, namespace: NamespaceOption = None, token_file: TokenOption = None
) -> None:
    """List the schedules."""
    from pipelines.cluster.connection import Address, connected
    from pipelines.cluster.schedule import cron_of, schedules

    with connected(Address(host, namespace, token_file)) as cluster:
        for entry in schedules(cluster):
            typer.echo(f"{(entry.status or '').lower():9} {cron_of(entry):20} {entry.display_name}")


@schedule_app.command(name="show")
def show_command(
    name: Annotated[str, typer.Argument(help="Name of the schedule.")],
    host: HostOption = None,
    namespace: NamespaceOption = None,
    token_file: TokenOption = None,
) -> None:
    """Show a schedule with its parameters."""
    from pipelines.cluster.connection import Address, connected
    from pipelines.cluster.schedule import described, existing_schedules

    with connected(Address(host, namespace, token_file)) as cluster:
        for entry in existing_schedules(cluster, name):
            for title, value in described(cluster, entry):
                typer.echo(f"{title:19} {value}")


@schedule_app.command(name="delete")
def delete_command(
    name: Annotated[str, typer.Argument(help="Name of the schedule.")],
    host: HostOption = None,
    namespace: NamespaceOption = None,
    token_file: TokenOption = None,
) -> None:
    """Delete a schedule; runs that have started go on."""
    from pipelines.cluster.connection import Address, connected
    from pipelines.cluster.schedule import delete_schedule

    with connected(Address(host, namespace, token_file)) as cluster:
        delete_schedule(cluster, name)
    typer.echo(f"deleted  {name}")
