"""Collection of a data set as four idx files, from every kind of source."""

from pathlib import Path

from components.common.data.raw_data import RAW_FILES, write_part
from components.common.data.source import LabelledBatch, SourceInfo
from components.common.errors import PipelineError
from components.common.narration import say
from components.common.plan.names import dataset_slug
from components.common.plan.run import DataPlan
from components.common.storage.files import combined_digest, sha256_file, written_directory
from components.common.storage.object_store import ObjectStore
from components.ingest.labelled import merge_labelled
from components.ingest.sources import MNIST_SHA256, load_source


def collect_data(data: DataPlan, target: Path) -> SourceInfo:
    """Write the data set and its source.json as the directory `target`, which must be new or empty.

    Where an object store is configured, it keeps the files by content, as they came and as they were written, and
    its labelled batches are merged into the training part.

    Args:
        data: The plan's data section.
        target: Directory to make.

    Raises:
        PipelineError: There is no such data, or it breaks a rule; `target` is then left as it was.
    """
    store = ObjectStore.from_environment()
    source = load_source(data.source, store)
    train = source.train
    batches: tuple[LabelledBatch, ...] = ()
    with written_directory(target) as directory:
        write_part(directory, "train", source.train)
        write_part(directory, "test", source.test)
        files = _digests(directory)
        name = dataset_name(data, source.uri, files)
        if store:
            for file in files:
                store.put_content(directory / file)
            train, batches = merge_labelled(store, name, source.train, source.test)
        if store and batches:
            write_part(directory, "train", train)
            files = _digests(directory)
            # The batches may be gone when somebody wants to train on this state of the data again.
            for file in RAW_FILES["train"]:
                store.put_content(directory / file)
        info = SourceInfo(
            name=name,
            source=source.uri,
            version=data.version,
            files=files,
            counts={"train": len(train.labels), "test": len(source.test.labels)},
            batches=batches,
            digest=combined_digest(files),
        )
        info.save(directory)
    added = f" ({sum(batch.used for batch in batches)} from labelled batches)" if batches else ""
    say(
        "ingest",
        f"{name} from {source.uri}: {info.counts['train']} training images{added}, "
        f"{info.counts['test']} test images, digest {info.digest[:12]}",
    )
    return info


def dataset_name(data: DataPlan, uri: str, files: dict[str, str]) -> str:
    """Return the name of the data set; `mnist` and `digits` are kept for the genuine data.

    Args:
        data: The plan's data section.
        uri: Address that the data came from.
        files: SHA-256 of each idx file by name.

    Raises:
        PipelineError: The name breaks its rule, or belongs to other data.
    """
    genuine = "mnist" if files == MNIST_SHA256 else "digits" if data.source == "digits" else ""
    name = data.name or genuine or dataset_slug(uri)
    if not name:
        raise PipelineError(
            f"data.name must be set for {uri} because no name can be made of it: set data.name."
        )
    if name == genuine:
        return name
    if genuine:
        raise PipelineError(f"data.name must be {genuine!r} for this data but is {name!r}: leave it out.")
    if name == "digits":
        raise PipelineError(
            f"the name 'digits' must belong to scikit-learn's digits but {uri} is other data: set another data.name."
        )
    if name == "mnist":
        file = next(file for file, digest in MNIST_SHA256.items() if files[file] != digest)
        raise PipelineError(
            f"data named mnist must be the genuine MNIST but in {uri} the sha256 of {file} is {files[file]} and not "
            f"{MNIST_SHA256[file]}: fetch it again, or set another data.name."
        )
    return name


def _digests(directory: Path) -> dict[str, str]:
    return {file: sha256_file(directory / file) for pair in RAW_FILES.values() for file in pair}
