"""`mnist-pipeline runs`: the pipeline's runs, on this machine and on Kubeflow."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from components.common.errors import PipelineError
from pipelines.cli.answers import print_json, print_line, print_summary, print_table
from pipelines.cli.options import DEFAULT_HOME, HomeOption, JsonOption

if TYPE_CHECKING:
    from kfp_server_api import V2beta1Run

    from pipelines.cluster.connection import Address, Cluster

app = typer.Typer(
    help="List, show, stop and retry the pipeline's runs, and print their logs.", no_args_is_help=True
)


def _with_cluster(context: typer.Context, parameter: typer.CallbackParam, value: Any) -> Any:
    """Refuse an option for Kubeflow where this machine is meant; a variable may be set for other commands."""
    given = context.get_parameter_source(str(parameter.name))
    if given and given.name == "COMMANDLINE" and not context.params.get("cluster"):
        raise PipelineError(
            f"{parameter.opts[0]} needs --cluster but got {value!r} without it: add --cluster, or leave it out."
        )
    return value


RunArgument = Annotated[str, typer.Argument(help="Name or id of a run, or how it alone begins.")]
ClusterOption = Annotated[
    bool, typer.Option("--cluster", is_eager=True, help="On Kubeflow; else on this machine.")
]
HostOption = Annotated[
    str | None,
    typer.Option(
        envvar="KF_PIPELINES_ENDPOINT",
        callback=_with_cluster,
        help="With --cluster: address of Kubeflow Pipelines; without it kubectl forwards a port.",
    ),
]
NamespaceOption = Annotated[
    str | None,
    typer.Option(
        callback=_with_cluster, help="With --cluster: your profile, where Kubeflow serves several users."
    ),
]
TokenOption = Annotated[
    Path | None,
    typer.Option(
        envvar="KFP_TOKEN_FILE", callback=_with_cluster, help="With --cluster: file with a bearer token."
    ),
]


@app.command(name="list")
def list_runs(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many runs at most.")] = 20,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
    cluster: ClusterOption = False,
    host: HostOption = None,
    namespace: NamespaceOption = None,
    token_file: TokenOption = None,
    experiment: Annotated[
        str | None,
        typer.Option(callback=_with_cluster, help="With --cluster: runs of this experiment alone."),
    ] = None,
) -> None:
    """List the runs, newest first."""
    from pipelines.models.tables import cluster_run_rows, run_rows

    if cluster:
        from pipelines.cluster.connection import Address, connected
        from pipelines.cluster.runs import cluster_runs

        with connected(Address(host, namespace, token_file)) as server:
            found = cluster_runs(server, limit, experiment)
        rows = cluster_run_rows(found)
    else:
        from pipelines.models.reader import open_reader
        from pipelines.models.runs import describe_runs

        with open_reader(home) as reader:
            found = describe_runs(reader, limit)
        rows = run_rows(found)
    if as_json:
        print_json({"runs": found})
    elif found:
        print_table(rows)
    else:
        print_line("no runs yet")


@app.command(name="show")
def show_run(
    run: RunArgument,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
    cluster: ClusterOption = False,
    host: HostOption = None,
    namespace: NamespaceOption = None,
    token_file: TokenOption = None,
) -> None:
    """Show a run's outcome, configuration and metrics."""
    from pipelines.models.tables import detail_rows

    details: dict[str, Any]
    if cluster:
        from pipelines.cluster.connection import Address
        from pipelines.cluster.runs import describe_cluster_run

        with _on_cluster(Address(host, namespace, token_file), run) as (server, found):
            details = describe_cluster_run(server, found)
    else:
        from pipelines.models.reader import open_reader
        from pipelines.models.runs import describe_run

        with open_reader(home) as reader:
            details = describe_run(reader, run)
    if as_json:
        print_json(details)
    else:
        print_table(detail_rows(details))


@app.command(name="logs")
def show_logs(
    run: RunArgument,
    step: Annotated[
        str | None, typer.Option(help="A step, such as train; by default the one that failed, else the last.")
    ] = None,
    tail: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many lines at most.")] = 20,
    home: HomeOption = DEFAULT_HOME,
    cluster: ClusterOption = False,
    host: HostOption = None,
    namespace: NamespaceOption = None,
    token_file: TokenOption = None,
) -> None:
    """Print the last lines of a step's log."""
    if cluster:
        from pipelines.cluster.connection import Address
        from pipelines.cluster.logs import show_log

        with _on_cluster(Address(host, namespace, token_file), run) as (server, found):
            show_log(server, found.run_id, step, tail, print_line)
    else:
        from pipelines.local.home import Home
        from pipelines.local.run_logs import run_log_lines

        for line in run_log_lines(Home(home), run, step, tail):
            print_line(line)


@app.command(name="stop")
def stop_run(
    run: RunArgument,
    home: HomeOption = DEFAULT_HOME,
    cluster: ClusterOption = False,
    host: HostOption = None,
    namespace: NamespaceOption = None,
    token_file: TokenOption = None,
) -> None:
    """End a run that is in progress, at once."""
    if cluster:
        from pipelines.cluster.connection import Address
        from pipelines.cluster.runs import close_in_mlflow, stop_cluster_run

        with _on_cluster(Address(host, namespace, token_file), run) as (server, found):
            stop_cluster_run(server, found)
            print_line(f"stopped  {found.display_name}: {close_in_mlflow(found.run_id)}")
    else:
        from pipelines.local.home import Home
        from pipelines.local.stop import stop_local_run

        print_line(f"stopped  {stop_local_run(Home(home), run)}")


@app.command(name="retry")
def retry_run(
    run: RunArgument,
    home: HomeOption = DEFAULT_HOME,
    cluster: ClusterOption = False,
    host: HostOption = None,
    namespace: NamespaceOption = None,
    token_file: TokenOption = None,
) -> None:
    """Go on with a run that failed or was stopped; steps that succeeded are not run again."""
    if cluster:
        from pipelines.cluster.connection import Address
        from pipelines.cluster.runs import retry_cluster_run

        with _on_cluster(Address(host, namespace, token_file), run) as (server, found):
            retry_cluster_run(server, found)
            print_line(f"retried  {found.display_name}  {server.link(f'runs/details/{found.run_id}')}")
        return
    from pipelines.local.home import Home
    from pipelines.local.run import retry_pipeline

    summary = retry_pipeline(Home(home), run, print_line)
    print_summary(summary)
    if summary.error:
        raise typer.Exit(1)


@contextmanager
def _on_cluster(address: "Address", run: str) -> "Iterator[tuple[Cluster, V2beta1Run]]":
    """Connect to Kubeflow, and find the run there."""
    from pipelines.cluster.connection import connected
    from pipelines.cluster.runs import find_cluster_run

    with connected(address) as cluster:
        yield cluster, find_cluster_run(cluster, run)
