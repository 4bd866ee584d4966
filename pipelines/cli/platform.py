"""The commands for the embedded platform: up, down, status and ui."""

import json

import typer

from components.common.errors import PipelineError
from pipelines.cli.answers import print_line
from pipelines.cli.options import DEFAULT_HOME, HomeOption, JsonOption

app = typer.Typer()


@app.command()
def up(home: HomeOption = DEFAULT_HOME) -> None:
    """Start the object store and MLflow of a home, and keep them until `mnist-pipeline down`."""
    from components.common.storage.address import shown
    from pipelines.local.home import Home
    from pipelines.local.keeper_control import keep_until_down
    from pipelines.local.platform import embedded_platform

    given = Home(home)
    with embedded_platform(given) as platform:
        keep_until_down(given)
        print_line(f"MLflow        {shown(platform.tracking_uri)}")
        print_line(f"object store  {shown(platform.s3_endpoint_url)}, bucket {platform.bucket}")


@app.command()
def down(
    home: HomeOption = DEFAULT_HOME,
    force: bool = typer.Option(False, "--force", help="End them though other commands use them."),
) -> None:
    """End the object store and MLflow of a home."""
    from pipelines.local.home import Home
    from pipelines.local.keeper_control import end_servers

    given = Home(home)
    ended = given.keeper.is_dir() and end_servers(given, force=force)
    print_line("the servers have ended" if ended else f"no server runs in {given.path}")


@app.command()
def status(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Say which servers run in a home, who uses them, and how much of the disk it takes; starts nothing."""
    from pipelines.local.home import Home
    from pipelines.local.usage import home_usage

    found = home_usage(Home(home))
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2))
        return
    for line in found.lines():
        print_line(line)


@app.command()
def ui(home: HomeOption = DEFAULT_HOME) -> None:
    """Serve the history of earlier runs in MLflow until Ctrl-C."""
    from pipelines.local.home import Home
    from pipelines.local.platform import embedded_platform
    from pipelines.local.summary import history_links

    with embedded_platform(Home(home)) as platform:
        for title, link in history_links(platform.tracking_uri):
            print_line(f"  {title:13} {link}")
        print_line("Ctrl-C to stop.")
        platform.ended.wait()
    raise PipelineError(
        f"the servers of {home} must run while their pages are shown but have ended: start ui again."
    )
