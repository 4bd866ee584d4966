"""Bring in a data set as four canonical idx files, whatever it comes from."""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from components.common.data.raw_data import RAW_FILES, LabelledBatch, SourceInfo, write_part, write_source
from components.common.errors import PipelineError
from components.common.narration import say
from components.common.storage.files import combined_digest, sha256_file, written_directory
from components.common.storage.object_store import ObjectStore
from components.ingest.labelled import merge_labelled
from components.ingest.sources import MNIST_SHA256, load_source

LONGEST_NAME = 40


@dataclass(frozen=True)
class IngestConfig:
    """What to bring in.

    Attributes:
        data: ``mnist``, ``digits``, or the path or URI of other data of the same form.
        dataset_name: Name for such other data; by default it is made of the last part of its address.
        version: Label of the data version, recorded as it is.
    """

    data: str
    dataset_name: str = ""
    version: str = ""


def ingest(config: IngestConfig, target: Path) -> SourceInfo:
    """Write the data set and its source.json as the directory `target`, which must be new or empty.

    Where an object store is configured, it keeps the files by content, as they came and as they were written, and
    its labelled batches are merged into the training part.

    Raises:
        PipelineError: There is no such data, or it breaks a rule; `target` is then left as it was.
    """
    store = ObjectStore.from_environment()
    source = load_source(config.data, store)
    train = source.train
    batches: tuple[LabelledBatch, ...] = ()
    with written_directory(target) as directory:
        write_part(directory, "train", source.train)
        write_part(directory, "test", source.test)
        files = _digests(directory)
        name = dataset_name(config, source.uri, files)
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
            version=config.version,
            files=files,
            counts={"train": len(train.labels), "test": len(source.test.labels)},
            batches=batches,
            digest=combined_digest(files),
        )
        write_source(directory, info)
    added = f" ({sum(batch.used for batch in batches)} from labelled batches)" if batches else ""
    say(
        "ingest",
        f"{name} from {source.uri}: {info.counts['train']} training images{added}, "
        f"{info.counts['test']} test images, digest {info.digest[:12]}",
    )
    return info


def dataset_name(config: IngestConfig, uri: str, files: dict[str, str]) -> str:
    """The name of the data set, which ``mnist`` and ``digits`` are for the genuine data only."""
    genuine = "mnist" if files == MNIST_SHA256 else "digits" if config.data == "digits" else ""
    name = config.dataset_name or genuine or _slug(uri)
    if not re.fullmatch(rf"[a-z0-9-]{{1,{LONGEST_NAME}}}", name):
        raise PipelineError(
            f"a data set's name must be 1 to {LONGEST_NAME} of a-z, 0-9, - but is {name!r}; set dataset_name"
        )
    if name == genuine:
        return name
    if genuine:
        raise PipelineError(f"dataset_name must be {genuine!r} or empty for this data but is {name!r}")
    if name == "digits":
        raise PipelineError(f"{uri}: the name 'digits' is kept for scikit-learn's; set another dataset_name")
    if name == "mnist":
        file = next(file for file, digest in MNIST_SHA256.items() if files[file] != digest)
        raise PipelineError(
            f"{uri}: named mnist but sha256 of {file} is {files[file]} and not {MNIST_SHA256[file]}; "
            "fetch it again, or set another dataset_name"
        )
    return name


def _slug(uri: str) -> str:
    last = PurePosixPath(unquote(urlsplit(uri).path)).name.removesuffix(".npz")
    return re.sub(r"[^a-z0-9]+", "-", last.lower())[:LONGEST_NAME].strip("-")


def _digests(directory: Path) -> dict[str, str]:
    return {file: sha256_file(directory / file) for pair in RAW_FILES.values() for file in pair}
