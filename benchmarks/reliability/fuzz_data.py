"""Targets of fuzzing: data sets, pictures and arrays."""

import io
import json
import math
import struct
import zipfile
from collections.abc import Mapping
from functools import cache
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.reliability import hostile_files as files
from benchmarks.reliability.fuzz_documents import good_documents
from benchmarks.reliability.fuzz_target import SPEC, Target, promise
from benchmarks.reliability.mutations import altered, encoded, mutated
from components.common.data.spec import MNIST_SPEC

INGEST, DATA = "components.ingest.", "components.common.data."


def _take_in(given: tuple[Mapping[str, bytes], dict[str, Any]], directory: Path) -> None:
    from components.common.plan.run import DataPlan
    from components.ingest.detect import recognize
    from components.ingest.form import Place
    from components.ingest.intake import take_in

    contents, options = given
    source = directory / "source"
    for name, content in contents.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    place = source / next(iter(contents)) if len(contents) == 1 else source
    plan = DataPlan(**options)
    for made in ("scratch", "raw"):
        (directory / made).mkdir()
    form = recognize(Place(place, place.as_uri()), plan, directory / "scratch")
    take_in(form, plan, directory / "raw")


def _options(random: Random) -> dict[str, Any]:
    if random.random() < 0.7:
        return {}
    return {
        "size": random.choice((None, 4, 9)),
        "transpose": random.choice((None, True)),
        "subset": random.choice((None, None, "a")),
    }


def _idx_set(random: Random) -> tuple[dict[str, bytes], dict[str, Any]]:
    names = [
        f"{part}-{kind}" for part in ("train", "t10k") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
    ]
    packed = random.choice(("", "", ".gz"))
    wrong = random.sample(names, random.choice((0, 1, 1, 4)))
    contents = {}
    for name in names:
        shape = (6, 8, 8) if "images" in name else (6,)
        content = files.idx(random, "images" in name) if name in wrong else _good_idx(random, shape)
        contents[name + packed] = mutated(random, content) if wrong and random.random() < 0.2 else content
    return contents, _options(random)


def _good_idx(random: Random, shape: tuple[int, ...]) -> bytes:
    size = math.prod(shape)
    pixels = random.randbytes(size) if len(shape) > 1 else bytes(number % 2 for number in range(size))
    return struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape) + pixels


def _npz_set(random: Random) -> tuple[dict[str, bytes], dict[str, Any]]:
    if random.random() < 0.3:
        return {"data.npz": _npz(random)}, _options(random)
    names = iter(
        random.choice((("x_train", "y_train", "x_test", "y_test"), ("images", "labels"), files.NAMES))
    )
    content = files.zipped(random, lambda _: f"{next(names, 'more')}.npy", _array)
    return {"data.npz": content}, _options(random)


def _array(random: Random) -> bytes:
    if random.random() < 0.5:
        return files.npy(random)
    return files.npy(random, random.choice(((6, 8, 8), (6,), (6, 1), (6, 8, 8, 3))), "|u1")


@cache
def _good_npz() -> bytes:
    content = io.BytesIO()
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (12, 8, 8), dtype=np.uint8), np.arange(12) % 2
    np.savez(content, x_train=images, y_train=labels, x_test=images[:4], y_test=labels[:4])
    return content.getvalue()


def _npz(random: Random) -> bytes:
    return mutated(random, _good_npz())


def _packed_set(random: Random) -> tuple[dict[str, bytes], dict[str, Any]]:
    if random.random() < 0.5:
        return {"data.tar": files.tarred(random)}, _options(random)
    content = files.zipped(random, lambda drawn: drawn.choice(files.PATHS), _small_picture)
    return {"data.zip": content}, _options(random)


def _small_picture(random: Random) -> bytes:
    kind = random.random()
    return files.png(random) if kind < 0.5 else files.picture(random) if kind < 0.8 else random.randbytes(9)


def _picture_set(random: Random) -> tuple[dict[str, bytes], dict[str, Any]]:
    names = (
        "a/1.png",
        "a/2.jpg",
        "b/1.png",
        "b/2.bmp",
        "b/notes.txt",
        "train/a/1.png",
        "test/b/1.png",
        "c.png",
    )
    chosen = random.sample(names, random.randint(2, 5))
    return {name: _small_picture(random) for name in chosen}, _options(random)


def _csv_set(random: Random) -> tuple[dict[str, bytes], dict[str, Any]]:
    names = random.choice((("data.csv",), ("train.csv", "test.csv"), ("data.csv.gz",)))
    return {name: files.table(random) for name in names}, _options(random)


@cache
def _good_tables() -> list[bytes]:
    """Return Parquet files of pictures and of lists of numbers, with pages as several writers make them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    random, found = Random(0), []  # noqa: S311
    pictures = [{"bytes": files.picture(random), "path": None} for _ in range(8)]
    lists = [[[number] * 8] * 8 for number in range(8)]
    kinds: list[dict[str, Any]] = [
        {},
        {"compression": "zstd", "data_page_version": "2.0"},
        {"use_dictionary": False, "row_group_size": 3},
    ]
    for images, options in product((pictures, lists), kinds):
        features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["a", "b"]}}
        about = json.dumps({"info": {"features": features}}).encode()
        content = io.BytesIO()
        table = pa.table({"image": images, "label": [number % 2 for number in range(8)]})
        pq.write_table(table.replace_schema_metadata({b"huggingface": about}), content, **options)
        found.append(content.getvalue())
    return found


def _parquet_set(random: Random) -> tuple[dict[str, bytes], dict[str, Any]]:
    return {"data.parquet": mutated(random, random.choice(_good_tables()))}, _options(random)


@cache
def _good_arrow(pictures: bool, codec: str | None) -> bytes:
    """Return an Arrow stream of pictures and names, some of them shared by rows, or one of lists and numbers."""
    import pyarrow as pa

    content, columns = io.BytesIO(), dict[str, Any]()
    if pictures:
        contents = pa.array([files.picture(Random(0))] * 8)  # noqa: S311
        columns = {
            "image": contents.dictionary_encode(),
            "label": pa.array(["a", "b"] * 4).dictionary_encode(),
        }
    else:
        columns = {"image": [[[number] * 8] * 8 for number in range(8)], "label": [n % 2 for n in range(8)]}
    table = pa.table(columns)
    with pa.ipc.new_stream(
        content, table.schema, options=pa.ipc.IpcWriteOptions(compression=codec)
    ) as writer:
        writer.write_table(table)
    return content.getvalue()


def _saved_set(random: Random) -> tuple[dict[str, bytes], dict[str, Any]]:
    state = {
        "_data_files": [{"filename": "data-00000-of-00001.arrow"}],
        "_fingerprint": "x",
        "_format_type": None,
    }
    listed: Any = {"splits": ["train"]}
    if random.random() < 0.4:
        state = altered(random, state)
    if random.random() < 0.3:
        listed = altered(random, listed)
    good = _good_arrow(random.random() < 0.5, random.choice((None, None, None, "lz4")))
    arrow = mutated(random, good) if random.random() < 0.5 else good
    contents = {
        "dataset_dict.json": encoded(random, listed),
        "train/state.json": encoded(random, state),
        "train/dataset_info.json": b"{}",
        "train/data-00000-of-00001.arrow": arrow,
    }
    return contents, _options(random)


def _any_picture(random: Random) -> bytes:
    if random.random() < 0.4:
        return files.png(random)
    return mutated(
        random, files.picture(random, random.choice(("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF")))
    )


def _read_picture(content: bytes, _: Path) -> None:
    from pipelines.models.pictures import Refusal, read_picture

    found = read_picture(content, SPEC if len(content) % 2 else MNIST_SPEC)
    promise(isinstance(found, Refusal) or found.dtype == np.uint8, "an image of uint8, or a refusal")


def _read_sources(content: bytes, directory: Path) -> None:
    from pipelines.models.sources import read_sources

    for name in ("array.npy", "picture.png"):
        (directory / name).write_bytes(content)
    for _ in read_sources([str(directory)], SPEC, None):
        pass


def _invocation(random: Random) -> bytes:
    image = [[random.randrange(256) for _ in range(8)] for _ in range(8)]
    key = random.choice(("inputs", "instances"))
    body = {key: random.choice(([image], {"image": [image]}))}
    return encoded(random, altered(random, body) if random.random() < 0.9 else body)


def _parse_invocation(body: bytes, _: Path) -> None:
    from pipelines.models.invocations import parse_invocation

    promise(parse_invocation(body, SPEC).shape[1:] == SPEC.shape, "images of the model's shape")


def _prepared(random: Random) -> tuple[bytes, bytes]:
    images = (
        files.npy(random, (6, 8, 8), "|u1")
        if random.random() < 0.5
        else mutated(random, _good_array((6, 8, 8)))
    )
    return images, files.npy(random, (6,), "|u1") if random.random() < 0.3 else _good_array((6,))


@cache
def _good_array(shape: tuple[int, ...]) -> bytes:
    content = io.BytesIO()
    np.save(content, np.zeros(shape, np.uint8))
    return content.getvalue()


def _open_split(given: tuple[bytes, bytes], directory: Path) -> None:
    from components.common.data.dataset import open_split
    from components.common.storage.files import combined_digest, sha256_file

    images, labels = given
    (directory / "train_images.npy").write_bytes(images)
    (directory / "train_labels.npy").write_bytes(labels)
    # The digests are right, else nothing would be read.
    digests = {path.name: sha256_file(path) for path in directory.iterdir()}
    document = good_documents()["DatasetInfo"] | {"counts": {"train": 6}, "files": digests}
    (directory / "dataset.json").write_text(json.dumps({**document, "digest": combined_digest(digests)}))
    open_split(directory, "train")


class _Store:
    """A store with one object, whatever its prefix is asked for."""

    def __init__(self, name: str, content: bytes) -> None:
        self._name, self._content = name, content

    def sizes(self, prefix: str) -> dict[str, int]:
        return {f"{prefix}{self._name}": len(self._content)}

    def uri(self, key: str) -> str:
        return f"s3://bucket/{key}"

    def download(self, _: str, target: Path) -> bool:
        target.write_bytes(self._content)
        return True


def _archive(random: Random, good: Mapping[str, NDArray[Any]]) -> bytes:
    """Return an npz file of these arrays, of which one is another or says what is not so."""
    other, content = random.choice(list(good)), io.BytesIO()
    right = random.random() < 0.5
    with zipfile.ZipFile(content, "w", random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for name, array in good.items():
            member = io.BytesIO()
            np.save(member, array)
            changed = files.npy(random, array.shape, array.dtype.str) if right else files.npy(random)
            archive.writestr(f"{name}.npy", changed if name == other else member.getvalue())
    return mutated(random, content.getvalue()) if random.random() < 0.4 else content.getvalue()


@cache
def _good_log() -> dict[str, NDArray[Any]]:
    return {
        "ids": np.array(["a", "b", "c"], "<U4"), "times": np.arange(3.0), "images": np.zeros((3, 8, 8, 1), np.uint8),
        "probabilities": np.full((3, 2), 0.5, np.float32), "versions": np.array(["1"] * 3, "<U4"),
        "rejected": np.zeros(3, bool),
    }  # fmt: skip


def _logged(random: Random) -> bytes:
    return _archive(random, _good_log())


def _read_requests(content: bytes, _: Path) -> None:
    from components.common.data.request_log import read_requests

    found = read_requests(_Store("000000-0.npz", content), "log", 0, 60)  # type: ignore[arg-type]
    if found is not None:
        promise(len(found.ids.tolist()) == len(found.images), "an id for each image")


def _labelled(random: Random) -> bytes:
    labels = random.choice((np.array([0, 1, 1]), np.array(["a", "b", "b"], "<U4")))
    return _archive(random, {"images": np.arange(192, dtype=np.uint8).reshape(3, 8, 8), "labels": labels})


def _merge_labelled(content: bytes, directory: Path) -> None:
    from components.common.data.dataset import Split
    from components.common.data.raw_data import open_part, write_part
    from components.ingest.labelled import merge_labelled

    part = Split(np.zeros((4, *SPEC.shape), np.uint8), np.zeros(4, np.uint8), SPEC)
    raw, scratch = directory / "raw", directory / "scratch"
    for made in (raw, scratch):
        made.mkdir()
    for name in ("train", "test"):
        write_part(raw, name, part)
    (record,) = merge_labelled(_Store("a.npz", content), "a", raw, SPEC, scratch)  # type: ignore[arg-type]
    promise(len(open_part(raw, "train", SPEC).labels) == 4 + record.used, "the images that the record counts")


DATA_TARGETS = (
    Target("data set: idx", (f"{DATA}idx", f"{INGEST}forms.idx"), 20_000, _idx_set, _take_in, files=True),
    Target("data set: npz", (f"{DATA}npy", f"{INGEST}forms.npz"), 20_000, _npz_set, _take_in, files=True),
    Target(
        "data set: zip, tar",
        (f"{INGEST}forms.archives", f"{INGEST}tar_headers", f"{INGEST}zip_list", f"{INGEST}picture_files"),
        20_000,
        _packed_set,
        _take_in,
        files=True,
    ),
    Target(
        "data set: pictures",
        (f"{INGEST}forms.pictures", f"{INGEST}sizes"),
        10_000,
        _picture_set,
        _take_in,
        files=True,
    ),
    Target(
        "data set: CSV",
        (f"{INGEST}forms.delimited", f"{INGEST}tables"),
        10_000,
        _csv_set,
        _take_in,
        files=True,
    ),
    Target(
        "data set: Parquet",
        (f"{INGEST}forms.parquet", f"{INGEST}parquet_pages", f"{INGEST}tables"),
        10_000,
        _parquet_set,
        _take_in,
        files=True,
    ),
    Target(
        "data set: saved by datasets",
        (f"{INGEST}forms.saved", f"{INGEST}arrow_messages"),
        10_000,
        _saved_set,
        _take_in,
        files=True,
    ),
    Target("prepared arrays", (f"{DATA}dataset",), 10_000, _prepared, _open_split, files=True),
    Target(
        "pictures of predict",
        (f"{DATA}picture", f"{DATA}png", "pipelines.models.pictures"),
        40_000,
        _any_picture,
        _read_picture,
    ),
    Target("arrays of predict", ("pipelines.models.sources",), 20_000, files.npy, _read_sources, files=True),
    Target("logged requests", (f"{DATA}request_log", f"{DATA}npy"), 40_000, _logged, _read_requests),
    Target("labelled batches", (f"{INGEST}labelled",), 20_000, _labelled, _merge_labelled, files=True),
    Target("bodies of serve", ("pipelines.models.invocations",), 50_000, _invocation, _parse_invocation),
)
