"""`mnist-pipeline predict`, and how commands open the model that they use."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from components.common.errors import PipelineError
from pipelines.cli.answers import print_line
from pipelines.cli.options import (
    DEFAULT_HOME,
    AllowUnsignedOption,
    HomeOption,
    ModelOption,
    VersionOption,
)

if TYPE_CHECKING:
    from components.common.model.classifier import Classifier
    from components.common.model.version_tags import VersionTags
    from components.register.verify import Verification
    from pipelines.models.served import Served

app = typer.Typer()

REJECT_BELOW = 0.5
DirectoryOption = Annotated[
    Path | None, typer.Option(help="A trained model's directory instead of the registry.")
]


@contextmanager
def verified(
    home: Path, model: str, version: str, *, allow_unsigned: bool = False
) -> "Iterator[tuple[Verification, VersionTags]]":
    """Download and verify a version; yield the result and the version's tags.

    Raises:
        PipelineError: There is no such version, or it is not what was registered.
    """
    from components.common.model.version_tags import version_tags
    from components.register.steer import find_version
    from components.register.verify import verify
    from pipelines.models.versions import open_model

    with open_model(home, model) as (client, name), TemporaryDirectory() as scratch:
        number = find_version(client, name, version)
        found = verify(client, name, number, Path(scratch, "model"), allow_unsigned=allow_unsigned)
        found.require()
        yield found, version_tags(client.get_model_version(name, number).tags, name, number)


@contextmanager
def loaded(
    directory: Path | None, home: Path, model: str, version: str, allow_unsigned: bool
) -> "Iterator[Served]":
    """Yield the model in a directory, whose number may be given as version, or else the registered one.

    What has an ONNX file is asked without TensorFlow.
    """
    from components.common.model.exchange import ONNX_FILE
    from components.common.model.runtime import RuntimeClassifier
    from components.common.model.stored_version import check_signed
    from pipelines.models.served import Served
    from pipelines.models.version_cache import open_version

    if directory is not None:
        about, number = directory.resolve().name, version if version.isdecimal() else ""
        check_signed(directory, allow_unsigned=allow_unsigned)
        if (directory / ONNX_FILE).exists():
            runtime = RuntimeClassifier(directory)
            yield Served(runtime, _limit(runtime.reject_below), about, number)
        else:
            _require_tensorflow(str(directory))
            yield Served(_keras(directory, str(directory)), REJECT_BELOW, about, number)
        return
    found = open_version(home, model, version, allow_unsigned=allow_unsigned)
    if found.classifier:
        yield Served(found.classifier, _limit(found.classifier.reject_below), found.name, found.version)
        return
    about = f"{found.name} version {found.version}"
    _require_tensorflow(about)
    with verified(home, found.name, found.version, allow_unsigned=allow_unsigned) as (sound, tags):
        yield Served(_keras(sound.directory, about), _limit(tags.reject_below), found.name, found.version)


def _limit(kept: float | None) -> float:
    return REJECT_BELOW if kept is None else kept


def _keras(directory: Path, about: str) -> "Classifier":
    print_line(f"{about} has no ONNX file: predicting with Keras", err=True)
    from components.common.model.classifier import Classifier

    return Classifier(directory)


def _require_tensorflow(about: str) -> None:
    """Check that Keras can predict for what has no ONNX file.

    Raises:
        PipelineError: TensorFlow is not installed.
    """
    from importlib.util import find_spec

    if not find_spec("tensorflow"):
        raise PipelineError(
            f"{about} must have an ONNX file where TensorFlow is not installed but has none: "
            "register it again, or predict where TensorFlow is installed."
        )


@app.command()
def predict(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Picture, npy, directory or s3://prefix.")
    ],
    model: ModelOption = "",
    version: VersionOption = "champion",
    directory: DirectoryOption = None,
    output: Annotated[str, typer.Option("--format", help="table, json (an object a line) or csv.")] = "table",
    raw: Annotated[
        bool,
        typer.Option("--raw", help="Write names into csv as they are, formulas of spreadsheets included."),
    ] = False,
    reject_below: Annotated[
        float | None,
        typer.Option(
            help="Probability below which an answer is marked; the version's own threshold unless given, "
            f"{REJECT_BELOW} where it has none."
        ),
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    allow_unsigned: AllowUnsignedOption = False,
) -> None:
    """Say what each picture shows, in the words of the data set that the model was trained on."""
    from pipelines.local.store_of import store_of
    from pipelines.models.predict import RAW_WRITERS, WRITERS, counted, predictions, progress_printer
    from pipelines.models.sources import picture_readers, read_sources

    if output not in WRITERS:
        raise PipelineError(f"--format must be one of {', '.join(WRITERS)} but got {output!r}.")
    if raw and isinstance(sys.stdout, TextIOWrapper):
        # Names of files need not be UTF-8.
        sys.stdout.reconfigure(errors="surrogateescape")
    answered: Counter[bool] = Counter()
    with (
        picture_readers(paths) as readers,
        store_of(paths, home),
        loaded(directory, home, model, version, allow_unsigned) as served,
    ):
        classifier, limit = served.classifier, served.reject_below if reject_below is None else reject_below
        sources = read_sources(paths, classifier.spec, readers)
        found = predictions(classifier, sources, limit, progress_printer(sys.stderr))
        (RAW_WRITERS if raw else WRITERS)[output](
            counted(found, answered), classifier.spec.classes, sys.stdout
        )
    if answered[False] and not answered[True]:
        raise typer.Exit(1)
