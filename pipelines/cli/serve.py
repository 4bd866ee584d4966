"""`mnist-pipeline serve`: a server of a registered model."""

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from components.common.errors import PipelineError
from components.common.model.aliases import CHAMPION
from pipelines.cli.answers import print_line
from pipelines.cli.options import (
    DEFAULT_HOME,
    AllowUnsignedOption,
    HomeOption,
    ModelOption,
    VersionOption,
)
from pipelines.cli.predict import DirectoryOption, loaded

if TYPE_CHECKING:
    from pipelines.models.served import Served

app = typer.Typer()


@app.command()
def serve(
    model: ModelOption = "",
    version: VersionOption = CHAMPION,
    directory: DirectoryOption = None,
    follow: Annotated[
        str | None,
        typer.Option(metavar="ALIAS", help="Serve the version of this alias, and change with it."),
    ] = None,
    every: Annotated[
        float, typer.Option(min=1, max=3600, help="Seconds between looks at the alias of --follow.")
    ] = 30,
    log_requests: Annotated[
        str | None,
        typer.Option(metavar="s3://BUCKET/PREFIX", help="Keep images and answers there, for the monitor."),
    ] = None,
    sample: Annotated[float, typer.Option(help="Share of the images that --log-requests keeps.")] = 0.1,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at.")] = 5002,
    home: HomeOption = DEFAULT_HOME,
    allow_unsigned: AllowUnsignedOption = False,
) -> None:
    """Answer requests over HTTP with a verified model, and show a page to try it, until Ctrl-C."""
    from pipelines.local.store_of import store_of
    from pipelines.models.connections import listen
    from pipelines.models.following import following
    from pipelines.models.request_logger import logged_requests
    from pipelines.models.serve import ModelServer

    if follow and (directory or version != CHAMPION):
        raise PipelineError(
            f"--follow {follow} must stand alone but there is --directory or --version: leave it out."
        )
    with ExitStack() as context:
        logger = None
        if log_requests:
            context.enter_context(store_of([log_requests], home))
            logger = context.enter_context(logged_requests(log_requests, sample))
        with loaded(directory, home, model, follow or version, allow_unsigned) as served:
            server = ModelServer(served, logger)
        if follow:
            newer = partial(newer_version, home, follow, allow_unsigned)
            context.enter_context(following(server, newer, every))
        _announce(served.about, host, port)
        listen(server.application(), host, port)


def newer_version(home: Path, alias: str, allow_unsigned: bool, served: "Served") -> "Served | None":
    """Return the verified version of an alias; None where it is the one that is served."""
    from pipelines.models.version_cache import aliased_version

    number = aliased_version(home, served.name, alias)
    if number == served.version:
        return None
    with loaded(None, home, served.name, number, allow_unsigned) as found:
        return found


def _announce(about: str, host: str, port: int) -> None:
    from components.common.settings import settings

    address = f"[{host}]" if ":" in host else host
    print_line(f"serving {about} at http://{address}:{port}; Ctrl-C to stop")
    if not _is_loopback(host):
        token = "" if settings().serve_token else ", nor a token: set SERVE_TOKEN"
        print_line(f"warning: other machines can reach {host}, and the server has no TLS{token}", err=True)


def _is_loopback(host: str) -> bool:
    from ipaddress import ip_address

    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
