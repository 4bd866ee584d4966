"""Options and arguments that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_HOME = Path(".mnist-pipeline")

HomeOption = Annotated[
    Path,
    typer.Option(
        "--home",
        help="Directory of the embedded platform: its data, history and logs. "
        "With MLFLOW_TRACKING_URI the registry is the one of that server.",
    ),
]
ModelOption = Annotated[
    str, typer.Option("--model", help="Registered model; not needed where there is only one.")
]
VersionArgument = Annotated[str, typer.Argument(help="A number, or an alias such as champion.")]
VersionOption = Annotated[str, typer.Option("--version", help="A number, or an alias.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
AllowUnsignedOption = Annotated[
    bool,
    typer.Option("--allow-unsigned", help="Take a version that no trusted key signed as it is."),
]
WhyOption = Annotated[str, typer.Option("--why", help="Reason, for the record.")]
