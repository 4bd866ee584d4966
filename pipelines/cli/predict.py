"""`mnist-pipeline predict` and `mnist-pipeline serve`: commands that use a registered model."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from components.common.errors import PipelineError
from pipelines.cli.options import DEFAULT_HOME, HomeOption, ModelOption, VersionOption

if TYPE_CHECKING:
    from components.common.model.classifier import Classifier
    from components.common.model.runtime import RuntimeClassifier
    from components.register.verify import Verification

app = typer.Typer()

REJECT_BELOW = 0.5
DirectoryOption = Annotated[
    Path | None, typer.Option(help="A trained model's directory instead of the registry.")
]


@contextmanager
def verified(home: Path, model: str, version: str) -> "Iterator[tuple[Verification, dict[str, str]]]":
    """Download and verify a version; yield the result and the version's tags.

    Raises:
        PipelineError: There is no such version, or it is not what was registered.
    """
    from components.register.steer import find_version
    from components.register.verify import verify
    from pipelines.models.versions import open_model

    with open_model(home, model) as (client, name), TemporaryDirectory() as scratch:
        number = find_version(client, name, version)
        found = verify(client, name, number, Path(scratch, "model"))
        found.require()
        yield found, client.get_model_version(name, number).tags


@contextmanager
def _loaded(
    directory: Path | None, home: Path, model: str, version: str
) -> "Iterator[tuple[Classifier | RuntimeClassifier, float, str]]":
    """Yield the model in a directory, or else the registered one, its threshold for rejected answers, and its name."""
    from components.common.model.classifier import Classifier
    from components.common.model.exchange import ONNX_FILE
    from components.common.model.runtime import RuntimeClassifier

    def opened(files: Path) -> Classifier | RuntimeClassifier:
        return RuntimeClassifier(files) if (files / ONNX_FILE).exists() else Classifier(files)

    if directory is not None:
        classifier = opened(directory)
        yield classifier, getattr(classifier, "reject_below", None) or REJECT_BELOW, directory.resolve().name
        return
    with verified(home, model, version) as (sound, tags):
        threshold = float(tags.get("reject_below", REJECT_BELOW))
        yield opened(sound.directory), threshold, f"{sound.name} version {sound.version}"


@app.command()
def predict(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Picture, npy, directory or s3://prefix.")
    ],
    model: ModelOption = "",
    version: VersionOption = "champion",
    directory: DirectoryOption = None,
    output: Annotated[str, typer.Option("--format", help="table, json (an object a line) or csv.")] = "table",
    reject_below: Annotated[
        float | None,
        typer.Option(
            help="Probability below which an answer is marked; the version's own threshold unless given, "
            f"{REJECT_BELOW} where it has none."
        ),
    ] = None,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Say what each picture shows, in the words of the data set that the model was trained on."""
    from pipelines.models.predict import WRITERS, counted, predictions, progress_printer

    if output not in WRITERS:
        raise PipelineError(f"--format must be one of {', '.join(WRITERS)} but got {output!r}.")
    answered: Counter[bool] = Counter()
    with _loaded(directory, home, model, version) as (classifier, threshold, _):
        limit = threshold if reject_below is None else reject_below
        found = predictions(classifier, paths, limit, progress_printer(sys.stderr))
        WRITERS[output](counted(found, answered), classifier.spec.classes, sys.stdout)
    if answered[False] and not answered[True]:
        raise typer.Exit(1)


@app.command()
def serve(
    model: ModelOption = "",
    version: VersionOption = "champion",
    directory: DirectoryOption = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at.")] = 5002,
    home: HomeOption = DEFAULT_HOME,
) -> None:
    """Answer requests over HTTP with a verified model, and show a page to try it, until Ctrl-C."""
    from pipelines.models.serve import application, listen

    with _loaded(directory, home, model, version) as (classifier, reject_below, name):
        served = application(classifier, reject_below, name)
    typer.echo(f"serving {name} at http://{host}:{port}; Ctrl-C to stop")
    listen(served, host, port)
