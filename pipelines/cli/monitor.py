"""`mnist-pipeline monitor`: a window of requests compared with what the version was registered with."""

import json
import secrets
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from components.common.model.aliases import CHAMPION
from components.monitor.rules import FALSE_ALARMS, TOLERATED
from pipelines.cli.answers import print_line
from pipelines.cli.options import (
    DEFAULT_HOME,
    AllowUnsignedOption,
    HomeOption,
    ModelOption,
    VersionOption,
)
from pipelines.cli.plan import SetFlag

if TYPE_CHECKING:
    from components.monitor.step import Outcome, Watch

app = typer.Typer()

# Of drift, and of a window of too few requests: neither is a mistake (1), and neither is to be taken for none (0).
DRIFT, TOO_FEW = 3, 4


@app.command(name="monitor")
def look_for_drift(
    requests: Annotated[
        str, typer.Option(metavar="s3://BUCKET/PREFIX", help="Where `serve --log-requests` keeps them.")
    ],
    hours: Annotated[
        int, typer.Option(min=1, help="Look at the last whole window of this length; 24 is yesterday in UTC.")
    ] = 24,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Start of another window, such as 2026-11-28T06:00.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Its end; without it, now.")] = None,
    model: ModelOption = "",
    version: VersionOption = CHAMPION,
    false_alarms: Annotated[
        float, typer.Option(min=0.0001, max=0.5, help="Share of windows without drift that may be alarms.")
    ] = FALSE_ALARMS,
    tolerated: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the requests that may be otherwise.")
    ] = TOLERATED,
    retrain: Annotated[
        bool, typer.Option("--retrain", help="Start a run where there is drift, once for each window.")
    ] = False,
    settings: SetFlag = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Directory for the report and the numbers.")
    ] = Path("monitoring"),
    home: HomeOption = DEFAULT_HOME,
    allow_unsigned: AllowUnsignedOption = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="End with one JSON object on the last line of stdout.")
    ] = False,
) -> None:
    """Look for drift in the requests of a window; ends with 3 where there is some, 4 where there are too few.

    --retrain adds the requests whose labels came in to the training images, and starts a run with the version's plan;
    --set changes it.
    """
    from components.monitor.report import REPORT_FILE
    from components.monitor.step import Watch

    start, end = _window(hours, since, until)
    watch = Watch(
        model, version, requests, start, end, false_alarms, tolerated, allow_unsigned=allow_unsigned
    )
    outcome, claimed = _looked(home, watch, output, retrain, as_json)
    print_line(f"report {output / REPORT_FILE}", err=as_json)
    print_line(f"MLflow {outcome.link}", err=as_json)
    retraining = _retrained(home, outcome, settings or [], as_json) if claimed else None
    if as_json:
        typer.echo(json.dumps({**outcome.found.model_dump(), "retraining": retraining}))
    if status := {"drift": DRIFT, "too-few": TOO_FEW}.get(outcome.found.verdict):
        raise typer.Exit(status)


def _looked(home: Path, watch: "Watch", output: Path, retrain: bool, as_json: bool) -> "tuple[Outcome, bool]":
    """Look at the window, and return whether a retraining was claimed."""
    from components.common.settings import kept_environment
    from components.monitor.retraining import claim_retraining
    from components.monitor.step import monitor_requests
    from components.register.steer import find_version
    from pipelines.models.versions import all_servers, open_model, operator

    # The lines of the step are for people.
    lines = redirect_stdout(sys.stderr if as_json else sys.stdout)
    # A run finds the embedded servers itself: it must not take them for named ones.
    with lines, kept_environment(), all_servers(home), open_model(home, watch.model) as (client, name):
        number = find_version(client, name, watch.version)
        outcome = monitor_requests(replace(watch, model=name, version=number), output)
        if not retrain or outcome.found.verdict != "drift":
            return outcome, False
        owner = f"{operator()} ({secrets.token_hex(3)})"
        return outcome, claim_retraining(outcome.found, output, owner)


def _retrained(home: Path, outcome: "Outcome", settings: list[str], as_json: bool) -> dict[str, Any]:
    from pipelines.local.retraining import retrain_version

    summary = retrain_version(home, outcome, settings, lambda line: print_line(line, err=as_json))
    return summary.as_json()


def _window(hours: int, since: str | None, until: str | None) -> tuple[float, float]:
    import time

    from components.common.errors import PipelineError
    from components.monitor.window import last_window, parse_time

    if not since:
        if until:
            raise PipelineError(f"--until must stand beside --since but {until!r} stands alone: give both.")
        return last_window(hours)
    return parse_time(since), parse_time(until) if until else time.time()
