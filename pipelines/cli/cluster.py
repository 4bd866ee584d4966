"""The commands for a Kubeflow cluster: submit and upload."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.cli.answers import print_line
from pipelines.cli.plan import PlanFlag, PodsFlag, SetFlag

if TYPE_CHECKING:
    from pipelines.parameters import Request

app = typer.Typer()

HostOption = Annotated[
    str | None,
    typer.Option(
        envvar="KF_PIPELINES_ENDPOINT",
        help="Address of Kubeflow Pipelines; without it kubectl forwards a port, and a pod asks its own cluster. "
        "KFP_TOKEN, KFP_COOKIE, or KFP_USERNAME and KFP_PASSWORD log in.",
    ),
]
NamespaceOption = Annotated[
    str | None, typer.Option(help="Your profile, where Kubeflow serves several users.")
]
TokenOption = Annotated[
    Path | None,
    typer.Option(
        envvar=["KFP_TOKEN_FILE", "KF_PIPELINES_SA_TOKEN_PATH"],
        help="File with a bearer token, read anew for every request.",
    ),
]
ImageOption = Annotated[
    str | None,
    typer.Option(help="Image of the steps, by digest or by commit; by default mnist-pipeline:COMMIT."),
]
ExperimentOption = Annotated[
    str,
    typer.Option(envvar="KF_PIPELINES_DEFAULT_EXPERIMENT_NAME", help="Experiment in Kubeflow to run in."),
]
CreateOption = Annotated[bool, typer.Option("--create-experiment", help="Create it when it is missing.")]
AccountOption = Annotated[
    str, typer.Option(help="Kubernetes service account of the run; '' is the server's choice.")
]
PipelineOption = Annotated[str, typer.Option(help="Name of the pipeline in Kubeflow.")]
MonitoringFlag = Annotated[
    bool,
    typer.Option("--monitoring", help="The pipeline that looks for drift in requests, mnist-monitoring."),
]
PIPELINE = "mnist-pipeline"
# Of a failed step.
LAST_LINES = 20
# infra/base/steps declares it, with the rights that the steps need.
ACCOUNT = "mnist-pipeline"


def checked_request(settings: list[str] | None, plan: Path | None, *, compiles: bool = False) -> "Request":
    """Return what the run is asked to be, checked by the rules of all steps.

    Args:
        settings: "name=value" of any option or parameter.
        plan: File of options.
        compiles: The command compiles the pipeline, so that it can fix what pods are given.

    Raises:
        PipelineError: No such option, or a value that breaks its rule.
    """
    from pipelines.parameters import request

    asked = request(settings or [], plan_file=plan, compiles=compiles)
    asked.resolved()
    return asked


@app.command()
def submit(
    host: HostOption = None,
    namespace: NamespaceOption = None,
    token_file: TokenOption = None,
    experiment: ExperimentOption = "Default",
    create_experiment: CreateOption = False,
    image: ImageOption = None,
    settings: SetFlag = None,
    plan: PlanFlag = None,
    service_account: AccountOption = ACCOUNT,
    wait: Annotated[
        bool, typer.Option("--wait", help="Follow the steps; the exit status is the run's.")
    ] = False,
) -> None:
    """Run the pipeline on a Kubeflow cluster."""
    from pipelines.cluster.connection import Address, connected
    from pipelines.cluster.follow import follow
    from pipelines.cluster.logs import show_failure
    from pipelines.cluster.package import compiled
    from pipelines.cluster.submit import start_run
    from pipelines.compile import default_image

    request = checked_request(settings, plan, compiles=True)
    with (
        compiled(image or default_image(), request.pods) as package,
        connected(Address(host, namespace, token_file)) as cluster,
    ):
        run_id = start_run(
            cluster,
            package,
            experiment,
            request,
            create_experiment=create_experiment,
            service_account=service_account or None,
        )
        print_line(f"run {run_id}  {cluster.link(f'runs/details/{run_id}')}")
        if not wait:
            return
        try:
            state = follow(cluster, run_id, package.steps, print_line)
        except KeyboardInterrupt:
            print_line("no longer following; the run goes on.")
            raise
        if state == "FAILED":
            show_failure(cluster, run_id, package.steps, LAST_LINES, print_line)
    if state != "SUCCEEDED":
        raise typer.Exit(1)


@app.command()
def upload(
    host: HostOption = None,
    namespace: NamespaceOption = None,
    token_file: TokenOption = None,
    pipeline: PipelineOption = "",
    image: ImageOption = None,
    settings: PodsFlag = None,
    monitoring: MonitoringFlag = False,
) -> None:
    """Add this code as the newest version of the pipeline on a Kubeflow cluster."""
    from pipelines.cluster.connection import Address, connected
    from pipelines.cluster.package import compiled
    from pipelines.cluster.upload import upload_version
    from pipelines.compile import default_image
    from pipelines.parameters import pod_settings

    with (
        compiled(image or default_image(), pod_settings(settings or []), monitoring=monitoring) as package,
        connected(Address(host, namespace, token_file)) as cluster,
    ):
        uploaded = upload_version(cluster, package, pipeline or package.name)
        print_line(f"version {uploaded.version}  {uploaded.link}")
