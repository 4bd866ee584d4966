"""The command line, `mnist-pipeline`."""

import gc
import json
import signal
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import components.common.settings  # noqa: F401  # before others use pydantic
from components.common.errors import PipelineError, stated
from pipelines.cli import models as cli_models
from pipelines.cli import predict as cli_use
from pipelines.cli.answers import print_line, print_summary
from pipelines.cli.cluster import MonitoringFlag
from pipelines.cli.cluster import app as cluster_commands
from pipelines.cli.data import app as data_commands
from pipelines.cli.export import app as export_commands
from pipelines.cli.kserve import app as kserve_commands
from pipelines.cli.monitor import app as monitor_command
from pipelines.cli.notices import app as notice_command
from pipelines.cli.options import DEFAULT_HOME, HomeOption
from pipelines.cli.plan import DataFlag, PlanFlag, PodsFlag, RecipeFlag, SetFlag, TrialsFlag
from pipelines.cli.plan import app as plan_commands
from pipelines.cli.platform import app as platform_commands
from pipelines.cli.prune import app as prune_command
from pipelines.cli.runs import app as run_commands
from pipelines.cli.schedule import app as schedule_commands
from pipelines.cli.serve import app as serve_command
from pipelines.compat.kubernetes_client import leave_out_validator

app = typer.Typer(
    help="Train, tune, evaluate and register an MNIST classifier with Kubeflow Pipelines and MLflow.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(cluster_commands)
app.add_typer(data_commands, name="data")
app.add_typer(kserve_commands, name="kserve")
app.add_typer(schedule_commands, name="schedule")

app.add_typer(cli_models.app, name="models")
app.add_typer(run_commands, name="runs")
app.add_typer(cli_use.app)
app.add_typer(serve_command)
app.add_typer(cli_models.top_level)
app.add_typer(export_commands)
app.add_typer(monitor_command)
app.add_typer(notice_command)
app.add_typer(plan_commands)
app.add_typer(platform_commands)
app.add_typer(prune_command)


class Runner(StrEnum):
    """What runs the steps on this machine."""

    SUBPROCESS = "subprocess"
    DOCKER = "docker"


@app.command()
def run(
    data: DataFlag = None,
    recipe: RecipeFlag = None,
    trials: TrialsFlag = None,
    settings: SetFlag = None,
    plan: PlanFlag = None,
    runner: Annotated[
        Runner, typer.Option(help="Run the steps as processes, or in containers of a Docker engine.")
    ] = Runner.SUBPROCESS,
    image: Annotated[
        str | None,
        typer.Option(help="Image of the steps, with --runner docker; by default mnist-pipeline:COMMIT."),
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: Annotated[
        bool, typer.Option("--json", help="End with one JSON object on the last line of stdout.")
    ] = False,
) -> None:
    """Run the whole pipeline on this machine, on an embedded object store and MLflow server."""
    from pipelines.local.home import Home
    from pipelines.local.run import run_pipeline
    from pipelines.parameters import request

    flags = {"data.source": data, "recipe": recipe, "search.trials": trials}
    summary = run_pipeline(
        Home(home),
        request(settings or [], plan_file=plan, flags=flags, local=True),
        lambda line: print_line(line, err=as_json),
        _image_of_steps(runner, image),
    )
    print_summary(summary, err=as_json)
    if as_json:
        typer.echo(json.dumps(summary.as_json()))
    if summary.error:
        raise typer.Exit(1)


def _image_of_steps(runner: Runner, image: str | None) -> str | None:
    if runner == Runner.DOCKER:
        from pipelines.compile import default_image

        return image or default_image()
    if image:
        raise PipelineError(f"--image needs --runner docker but got {image!r} without it.")
    return None


@app.command(name="compile")
def compile_command(
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")] = Path(
        "mnist-pipeline.yaml"
    ),
    image: Annotated[
        str | None,
        typer.Option(help="Image of the steps, by digest or by commit; by default mnist-pipeline:COMMIT."),
    ] = None,
    settings: PodsFlag = None,
    kubernetes_manifests: Annotated[
        bool, typer.Option("--kubernetes-manifests", help="Write Pipeline and PipelineVersion resources.")
    ] = False,
    monitoring: MonitoringFlag = False,
) -> None:
    """Compile the pipeline for Kubeflow."""
    from pipelines.cluster.package import chosen_pipeline
    from pipelines.compile import compile_pipeline, default_image
    from pipelines.parameters import pod_settings

    pods = pod_settings(settings or [])
    compile_pipeline(
        output,
        image or default_image(),
        pipeline=chosen_pipeline(monitoring),
        pods=pods,
        kubernetes_manifests=kubernetes_manifests,
    )
    print_line(f"wrote {output}")


@app.command()
def doctor(home: HomeOption = DEFAULT_HOME) -> None:
    """Check Python, store, MLflow, data, container engine and cluster."""
    from pipelines.cli.doctor import examine

    findings = list(examine(home))
    for finding in findings:
        print_line(finding.line())
    if any(finding.fatal and not finding.ok for finding in findings):
        raise typer.Exit(1)


def main() -> None:
    """Run the command line; a stated error or a full disk is one line, and Ctrl-C and SIGTERM end it in order."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    leave_out_validator()
    # Imported modules are no garbage: each look through them takes some 0.02 s.
    gc.freeze()
    try:
        app(standalone_mode=True)
    except Exception as error:
        told = stated(error)
        if told is None:
            raise
        print_line(f"error: {told}", err=True)
        sys.exit(told.exit_status)
    finally:
        gc.freeze()


if __name__ == "__main__":
    main()
