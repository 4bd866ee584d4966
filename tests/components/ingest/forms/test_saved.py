"""Directories that `save_to_disk` of Hugging Face's datasets writes."""

import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from components.common.errors import PipelineError
from components.ingest import tables
from components.ingest.form import Place
from components.ingest.forms import saved
from tests.forms import read_classes, read_part, recognized

NAMES = ["cat", "dog"]
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 8, 6), dtype=np.uint8)
LABELS = np.arange(40) % 2


def pictures(count: int = 40) -> datasets.Dataset:
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES)})
    columns = {"image": [Image.fromarray(image) for image in IMAGES[:count]], "label": LABELS[:count]}
    return datasets.Dataset.from_dict(columns, features=features)


def test_parts_of_several_shards_come_back(tmp_path: Path) -> None:
    saved = datasets.DatasetDict({"train": pictures(), "test": pictures(4), "unsupervised": pictures(2)})
    saved.save_to_disk(tmp_path / "saved", num_shards={"train": 3, "test": 1, "unsupervised": 1})
    form = recognized(tmp_path / "saved")
    assert (form.kind, form.notes, set(form.parts)) == (
        "saved",
        ("not read: unsupervised",),
        {"train", "test"},
    )
    assert read_classes(form) == tuple(NAMES)
    pixels, labels = read_part(form, "train")
    np.testing.assert_array_equal(pixels[..., 0], IMAGES)
    assert labels.tolist() == LABELS.tolist()


def test_one_data_set_is_the_training_part_in_the_order_that_it_was_given(tmp_path: Path) -> None:
    pictures().select([5, 3, 8]).save_to_disk(tmp_path / "saved")
    form = recognized(tmp_path / "saved")
    assert set(form.parts) == {"train"}
    np.testing.assert_array_equal(read_part(form, "train")[0][..., 0], IMAGES[[5, 3, 8]])


def test_rows_are_read_in_small_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures().save_to_disk(tmp_path / "saved")
    monkeypatch.setattr("components.ingest.form.CHUNK_BYTES", 1000)
    chunks = recognized(tmp_path / "saved").parts["train"].chunks()
    assert max(len(labels) for _, labels in chunks) < 40


def test_a_test_part_alone_is_refused(tmp_path: Path) -> None:
    datasets.DatasetDict({"test": pictures(4)}).save_to_disk(tmp_path / "saved")
    with pytest.raises(PipelineError, match="must hold the training part too but holds only test: "):
        recognized(tmp_path / "saved")


@pytest.mark.parametrize("content", ["", "[]", "{}", "[" * 5000, '{"_data_files": [{"name": "a"}]}'])
def test_a_damaged_description_is_refused(tmp_path: Path, content: str) -> None:
    pictures().save_to_disk(tmp_path / "saved")
    (tmp_path / "saved" / "state.json").write_text(content)
    with pytest.raises(PipelineError, match=r"state.json must be what save_to_disk writes but is not"):
        recognized(tmp_path / "saved")


def test_a_description_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures().save_to_disk(tmp_path / "saved")
    monkeypatch.setattr(saved, "LARGEST_DESCRIPTION", 10)
    with pytest.raises(
        PipelineError, match=r"state.json: the bytes of a description must be at most 10 but is "
    ):
        recognized(tmp_path / "saved")


def rewrite(directory: Path, table: pa.Table, **options: Any) -> None:
    """Write other rows into the only shard of a saved data set."""
    [path] = directory.glob("*.arrow")
    with (
        pa.OSFile(str(path), "wb") as file,
        pa.ipc.new_stream(file, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer,
    ):
        writer.write_table(table)


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_compressed_rows_are_refused(tmp_path: Path, codec: str) -> None:
    pictures().save_to_disk(tmp_path / "saved")
    rewrite(tmp_path / "saved", pictures().data.table, compression=codec)
    with pytest.raises(
        PipelineError,
        match="must be uncompressed, as save_to_disk writes it, but is compressed: save it again",
    ):
        recognized(tmp_path / "saved")


@pytest.mark.parametrize("shared", ["dictionary", "views"])
def test_pictures_that_share_their_bytes_are_copied_a_few_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: str
) -> None:
    pictures().save_to_disk(tmp_path / "saved")
    contents = pa.array([pictures(1).data.table["image"][0].as_py()["bytes"]] * 40)
    column = contents.dictionary_encode() if shared == "dictionary" else contents.cast(pa.binary_view())
    rewrite(tmp_path / "saved", pa.table({"image": column, "label": LABELS}))
    monkeypatch.setattr(tables, "CHUNK_BYTES", 3 * len(contents[0].as_py()))
    table = saved._table(Place(tmp_path / "saved", "saved"))
    assert [len(files) for _, files in tables._files_together(table, "image")] == [3] * 13 + [1]
    pixels = read_part(recognized(tmp_path / "saved"), "train")[0]
    np.testing.assert_array_equal(pixels[..., 0], IMAGES[:1].repeat(40, axis=0))


def test_files_elsewhere_are_not_read(tmp_path: Path) -> None:
    pictures().save_to_disk(tmp_path / "other")
    pictures().save_to_disk(tmp_path / "saved")
    state = {"_data_files": [{"filename": "../other/data-00000-of-00001.arrow"}]}
    (tmp_path / "saved" / "state.json").write_text(json.dumps(state))
    with pytest.raises(PipelineError, match=r"must name what lies in its directory but names \['\.\./other"):
        recognized(tmp_path / "saved")


@pytest.mark.parametrize("seed", range(20))
def test_damage_is_an_error_of_one_line(tmp_path: Path, seed: int) -> None:
    pictures().save_to_disk(tmp_path / "saved")
    path = next((tmp_path / "saved").glob("*.arrow"))
    content, chance = np.fromfile(path, np.uint8), np.random.default_rng(seed)
    content[chance.integers(len(content), size=len(content) // 20)] += 1
    content.tofile(path)
    with pytest.raises(PipelineError, match=r"^[^\n]* must [^\n]*\.$"):
        read_part(recognized(tmp_path / "saved"), "train")


def test_a_column_without_a_readable_name_is_an_error_of_one_line(tmp_path: Path) -> None:
    pictures().save_to_disk(tmp_path / "saved")
    path = next((tmp_path / "saved").glob("*.arrow"))
    # The schema names each column once; Hugging Face's description of them stands before.
    before, name, after = path.read_bytes().rpartition(b"label")
    path.write_bytes(before + b"\xff" + name[1:] + after)
    with pytest.raises(
        PipelineError, match=r"\.arrow must be intact but is not \('utf-8' codec can't decode "
    ):
        recognized(tmp_path / "saved")
