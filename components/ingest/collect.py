"""Collection of a data set as raw data, from every kind of source."""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from components.common.data.raw_data import PARTS, has_part, open_part, raw_files
from components.common.data.source import LabelledBatch, SourceInfo
from components.common.data.spec import ImageSpec
from components.common.narration import say
from components.common.patience import patiently
from components.common.plan.run import DataPlan
from components.common.storage.files import combined_digest, sha256_file, written_directory
from components.common.storage.object_store import ObjectStore
from components.ingest.intake import take_in
from components.ingest.labelled import merge_labelled
from components.ingest.naming import dataset_name
from components.ingest.sources import open_source

STEP = "ingest"


def collect_data(data: DataPlan, target: Path) -> SourceInfo:
    """Write the data set and its source.json as the directory `target`, which must be new or empty.

    Where an object store is configured, it keeps the files by content, as they came and as they were written, and
    its labelled batches are merged into the training part.

    Args:
        data: The plan's data section.
        target: Directory to make.

    Raises:
        PipelineError: There is no such data, or it breaks a rule; `target` is then left as it was.
        UnavailableError: The store or the data's server was away for longer than OUTAGE_SECONDS.
    """
    store = ObjectStore.from_environment()
    batches: tuple[LabelledBatch, ...] = ()
    # Beside the target: in a container /tmp may be memory. Preprocess checks the digests, and on one machine the files
    # are deleted behind it, mostly before the disk has them.
    with (
        written_directory(target, on_disk=False) as directory,
        TemporaryDirectory(dir=target.parent) as scratch,
    ):
        form = patiently(STEP, lambda: open_source(data, store, Path(mkdtemp(dir=scratch))))
        taken = take_in(form, data, directory)
        spec = taken.spec
        files = _digests(directory, spec)
        name = dataset_name(data, form.uri, files)
        if store:
            _keep(store, directory, files)
            share = data.labelled_share
            batches = patiently(
                STEP, lambda: merge_labelled(store, name, directory, spec, Path(mkdtemp(dir=scratch)), share)
            )
        if store and batches:
            files = _digests(directory, spec)
            # The batches may be gone when somebody wants to train on this state of the data again.
            _keep(store, directory, files)
        info = SourceInfo(
            name=name,
            source=form.uri,
            version=data.version,
            files=files,
            counts={part: len(open_part(directory, part, spec).labels) for part in _parts(directory, spec)},
            batches=batches,
            digest=combined_digest(files),
            spec=spec,
            form=form.kind,
            notes=(*taken.notes, *_left_out(batches)),
        )
        info.save(directory)
    for note in info.notes:
        say(STEP, note)
    say(STEP, _summary(info))
    return info


def _parts(directory: Path, spec: ImageSpec) -> list[str]:
    return [part for part in PARTS if has_part(directory, part, spec)]


def _left_out(batches: tuple[LabelledBatch, ...]) -> list[str]:
    return [
        f"warning: the labelled batch {batch.key} is left out: {batch.left_out}"
        for batch in batches
        if batch.left_out
    ]


def _digests(directory: Path, spec: ImageSpec) -> dict[str, str]:
    return {
        file: sha256_file(directory / file)
        for part in _parts(directory, spec)
        for file in raw_files(part, spec)
    }


def _keep(store: ObjectStore, directory: Path, files: dict[str, str]) -> None:
    for file in files:
        patiently(STEP, partial(store.put_content, directory / file))


def _summary(info: SourceInfo) -> str:
    kinds = "grey" if info.spec.channels == 1 else "colour"
    counts = ", ".join(f"{count} {part}" for part, count in info.counts.items())
    used = sum(batch.used for batch in info.batches)
    added = f" ({used} from labelled batches)" if info.batches else ""
    return (
        f"{info.name} from {info.source}: {info.form}, {kinds} images of {info.spec.height} x {info.spec.width} in "
        f"{len(info.spec.classes)} classes, {counts}{added}, digest {info.digest[:12]}"
    )
