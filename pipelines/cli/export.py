"""`mnist-pipeline export`: a registered version in another format."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.answers import print_line
from pipelines.cli.options import (
    DEFAULT_HOME,
    AllowUnsignedOption,
    HomeOption,
    ModelOption,
    VersionArgument,
)

app = typer.Typer()


class Kind(StrEnum):
    """Formats of `pipelines.models.formats`."""

    ONNX = "onnx"
    LITERT = "litert"
    OPENVINO = "openvino"
    SAVED_MODEL = "saved_model"
    KERAS = "keras"


@app.command(name="export")
def export_command(
    version: VersionArgument,
    kind: Annotated[Kind, typer.Option("--format", help="Format to write.")],
    int8: Annotated[
        bool, typer.Option("--int8", help="Store the weights in 8 bits, and tell what that costs.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="New directory; by default MODEL-VERSION-FORMAT."),
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    model: ModelOption = "",
    allow_unsigned: AllowUnsignedOption = False,
) -> None:
    """Write a version for another runtime, and compare the answers there with those in Keras."""
    from components.register.steer import find_version
    from pipelines.models.export import export_version
    from pipelines.models.formats import FORMATS
    from pipelines.models.versions import all_servers, open_model

    # Before servers start.
    FORMATS[kind].runtime_version()
    # The data may be in the embedded store although the version is on a server of one's own.
    with all_servers(home), open_model(home, model) as (client, name):
        number = find_version(client, name, version)
        target = output or Path("-".join([name, number, kind, *(["int8"] if int8 else [])]))
        export = export_version(client, name, number, kind, target, int8=int8, allow_unsigned=allow_unsigned)
    for line in (f"wrote {target}", *export.lines()):
        print_line(line)
