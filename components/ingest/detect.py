"""Recognition of a data set's form by its content."""

from collections.abc import Callable
from pathlib import Path

from components.common.errors import PipelineError
from components.common.plan.run import DataPlan
from components.ingest.form import Form, Place
from components.ingest.forms import archives, delimited, idx, npz, parquet, pictures, saved
from components.ingest.unknown import described_place

# A reader returns None for content of another form, and raises PipelineError for damaged or unclear content of its own.
# It is given a scratch directory, which lives as long as the form is read. Without one it only looks: the form that it
# returns is not to be read.
Reader = Callable[[Place, DataPlan, Path | None], Form | None]
READERS: tuple[Reader, ...] = (
    npz.recognize,
    idx.recognize,
    saved.recognize,
    parquet.recognize,
    delimited.recognize,
    pictures.recognize,
)
FORMS = (
    "idx files as MNIST's, an npz archive, pictures in a directory for each class, parquet, a data set saved by "
    "Hugging Face's datasets, or CSV; also packed as zip or tar"
)
DEEPEST = 3


def recognize(place: Place, data: DataPlan, scratch: Path | None) -> Form:
    """Recognize the data set at a place; an archive is unpacked, and a directory that only holds it is looked into.

    Args:
        place: A file or directory.
        data: The plan's data section.
        scratch: Empty directory for what has to be unpacked or decoded; None to look only, at what is no archive.

    Raises:
        PipelineError: There is no data set of a known form, there are several, or it is damaged.
    """
    unpacked = (scratch and archives.unpack(place, scratch / "unpacked")) or place
    if form := _read(unpacked, data, scratch):
        return form
    level = [unpacked]
    for _ in range(DEEPEST):
        level = [place_.child(path.name) for place_ in level for path in _directories(place_.path)]
        if chosen := [place_ for place_ in level if place_.path.name == data.subset]:
            level, data = chosen, data.model_copy(update={"subset": None})
        found = [place_ for place_ in level if _read(place_, data, None)]
        if len(found) > 1:
            listed = ", ".join(place_.uri for place_ in found[:5])
            raise PipelineError(
                f"{place.uri} must hold one data set but holds {len(found)}: give one of {listed}."
            )
        if found and (form := _read(found[0], data, scratch)):
            return form
    held, way_out = described_place(unpacked)
    raise PipelineError(f"{place.uri} must hold {FORMS} but {held}: {way_out}.")


def _read(place: Place, data: DataPlan, scratch: Path | None) -> Form | None:
    for reader in READERS:
        if form := reader(place, data, scratch):
            return form
    return None


def _directories(path: Path) -> list[Path]:
    if not path.is_dir():
        return []
    return sorted(
        child for child in path.iterdir() if child.is_dir() and not child.name.startswith((".", "__"))
    )
