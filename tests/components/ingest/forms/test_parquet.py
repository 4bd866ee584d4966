"""Parquet files, as Hugging Face's datasets, pandas and pyarrow write them."""

import io
import json
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from components.common.errors import PipelineError
from components.ingest import parquet_pages, tables
from tests.forms import read_classes, read_part, recognized

NAMES = ["t-shirt", "boot"]
IMAGES = np.random.default_rng(0).integers(0, 256, (40, 12, 9), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (40, 12, 9, 3), dtype=np.uint8)
LABELS = np.arange(40) % 2


def features(**columns: Any) -> datasets.Features:
    return datasets.Features(
        columns or {"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES)}
    )


def pictures(images: Any = IMAGES, labels: Any = LABELS) -> datasets.Dataset:
    """Return a data set of pictures, as it is made for the Hub."""
    columns = {"image": [Image.fromarray(image) for image in images], "label": list(labels)}
    return datasets.Dataset.from_dict(columns, features=features())


def encoded(image: Any, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind)
    return buffer.getvalue()


def write(path: Path, **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("images", [IMAGES, COLOUR], ids=["grey", "colour"])
def test_the_hubs_shards_are_parts_with_the_names_in_their_metadata(tmp_path: Path, images: Any) -> None:
    (tmp_path / "data").mkdir()
    for shard in range(2):
        rows = range(20 * shard, 20 * (shard + 1))
        pictures(images[rows], LABELS[rows]).to_parquet(tmp_path / f"data/train-{shard:05}-of-00002.parquet")
    pictures(images[:6], LABELS[:6]).to_parquet(tmp_path / "data/validation-00000-of-00001.parquet")
    pictures(images[:4], LABELS[:4]).to_parquet(
        tmp_path / "data/test-00000-of-00001-0123456789abcdef.parquet"
    )
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n")
    form = recognized(tmp_path)
    assert (form.kind, form.notes, set(form.parts)) == ("parquet", (), {"train", "validation", "test"})
    assert read_classes(form) == tuple(NAMES)
    pixels, labels = read_part(form, "train")
    np.testing.assert_array_equal(pixels, images.reshape(40, 12, 9, -1))
    assert labels.tolist() == LABELS.tolist()


def test_the_hubs_conversion_has_a_directory_for_each_part(tmp_path: Path) -> None:
    for part, count in (("train", 20), ("test", 4)):
        (tmp_path / "default" / part).mkdir(parents=True)
        for shard in range(2):
            pictures(IMAGES[:count], LABELS[:count]).to_parquet(
                tmp_path / f"default/{part}/{shard:04}.parquet"
            )
    form = recognized(tmp_path)
    assert {part: len(read_part(form, part)[0]) for part in form.parts} == {"train": 40, "test": 8}


def test_a_configuration_is_chosen_by_its_directory(tmp_path: Path) -> None:
    for name, count in (("small", 10), ("large", 40)):
        (tmp_path / name).mkdir()
        pictures(IMAGES[:count], LABELS[:count]).to_parquet(tmp_path / name / "train-00000-of-00001.parquet")
    with pytest.raises(
        PipelineError, match=rf"holds 2: give one of .*{tmp_path}/large, .*{tmp_path}/small\."
    ):
        recognized(tmp_path)
    assert len(read_part(recognized(tmp_path, subset="small"), "train")[0]) == 10


def test_one_file_is_the_training_part(tmp_path: Path) -> None:
    pictures().to_parquet(tmp_path / "set.parquet")
    form = recognized(tmp_path / "set.parquet")
    assert set(form.parts) == {"train"}
    assert len(read_part(form, "train")[0]) == 40


@pytest.mark.parametrize(
    "feature", [datasets.Array2D((12, 9), "uint8"), datasets.List(datasets.List(datasets.Value("int64")))]
)
def test_lists_of_numbers_are_images(tmp_path: Path, feature: Any) -> None:
    kinds = features(image=feature, label=datasets.Value("string"))
    columns = {"image": IMAGES.tolist(), "label": [NAMES[place] for place in LABELS]}
    datasets.Dataset.from_dict(columns, features=kinds).to_parquet(tmp_path / "set.parquet")
    form = recognized(tmp_path / "set.parquet")
    assert read_classes(form) == ("boot", "t-shirt")
    np.testing.assert_array_equal(read_part(form, "train")[0][..., 0], IMAGES)


def test_pixels_in_columns_are_images(tmp_path: Path) -> None:
    frame = pd.DataFrame(IMAGES[:, :9].reshape(40, 81), columns=[f"pixel{place}" for place in range(1, 82)])
    frame["class"] = pd.Categorical([NAMES[place] for place in LABELS])
    frame.to_parquet(tmp_path / "dataset.pq")
    form = recognized(tmp_path / "dataset.pq")
    np.testing.assert_array_equal(read_part(form, "train")[0][..., 0], IMAGES[:, :9])
    assert read_part(form, "train")[1].tolist() == [NAMES[place] for place in LABELS]


def test_pictures_of_several_sizes_get_the_most_common_one(tmp_path: Path) -> None:
    images = [encoded(image) for image in COLOUR[:30]] + [encoded(image[:8, :8]) for image in IMAGES[30:]]
    path = write(tmp_path / "set.parquet", image=images, label=LABELS)
    form = recognized(path)
    assert form.notes == (
        "the pictures have 2 sizes, of which 12 x 9 is the most common, with 30 of 40: all are resized to 12 x 9, "
        "at most 64 a side; data.size decides otherwise",
        "30 of 40 pictures are in colour: all are taken as such",
    )
    pixels = read_part(form, "train")[0]
    assert pixels.shape == (40, 12, 9, 3)
    np.testing.assert_array_equal(pixels[:30], COLOUR[:30])
    assert read_part(recognized(path, size=16), "train")[0].shape == (40, 16, 16, 3)


def test_large_pictures_are_shrunk_to_the_bound(tmp_path: Path) -> None:
    large = np.random.default_rng(2).integers(0, 256, (4, 100, 200, 3), dtype=np.uint8)
    path = write(
        tmp_path / "set.parquet", image=[encoded(image, "JPEG") for image in large], label=[0, 1, 0, 1]
    )
    form = recognized(path)
    assert form.notes == (
        "the pictures of 100 x 200 are resized to 32 x 64, at most 64 a side; data.size decides otherwise",
    )
    assert read_part(form, "train")[0].shape == (4, 32, 64, 3)


def test_memory_holds_a_few_rows_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures().to_parquet(tmp_path / "set.parquet")
    monkeypatch.setattr("components.ingest.form.CHUNK_BYTES", 3 * 12 * 9)
    form = recognized(tmp_path / "set.parquet")
    assert max(len(labels) for _, labels in form.parts["train"].chunks()) <= 3
    np.testing.assert_array_equal(read_part(form, "train")[0][..., 0], IMAGES)


def test_one_row_of_a_repeated_picture_is_in_memory_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "set.parquet", image=[encoded(IMAGES[0])] * 40, label=LABELS)
    monkeypatch.setattr(parquet_pages, "LARGEST_IN_MEMORY", 1)
    np.testing.assert_array_equal(
        read_part(recognized(path), "train")[0][..., 0], IMAGES[:1].repeat(40, axis=0)
    )


def test_labels_have_to_have_room_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures().to_parquet(tmp_path / "set.parquet")
    monkeypatch.setattr(tables, "LARGEST_IN_MEMORY", 100)
    with pytest.raises(PipelineError, match="bytes of all labels must be at most 100 but is 3.."):
        recognized(tmp_path / "set.parquet")


@pytest.mark.parametrize("dictionary", [False, True])
def test_texts_are_labels_and_may_not_be_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dictionary: bool
) -> None:
    labels = pa.array([None, *(f"class {number % 5}" for number in range(39))])
    path = write(
        tmp_path / "set.parquet",
        image=IMAGES.tolist(),
        label=labels.dictionary_encode() if dictionary else labels,
    )
    with pytest.raises(
        PipelineError, match="each image must have a label but 1 of 40 have none, number 0 first"
    ):
        read_part(recognized(path), "train")
    monkeypatch.setattr(tables, "MOST_CLASSES", 4)
    with pytest.raises(
        PipelineError, match="the number of classes must be at most 4 but is 5: give labels, not"
    ):
        read_part(recognized(path), "train")


@pytest.mark.parametrize("missing", [-1, None])
def test_a_test_part_without_labels_is_left_out(tmp_path: Path, missing: int | None) -> None:
    pictures().to_parquet(tmp_path / "train.parquet")
    pictures(IMAGES[:4], [missing] * 4).to_parquet(tmp_path / "test.parquet")
    form = recognized(tmp_path)
    assert set(form.parts) == {"train"}
    assert form.notes == ("test has no labels: left out",)
    pictures(IMAGES[:4], [1, missing, 0, missing]).to_parquet(tmp_path / "test.parquet")
    with pytest.raises(
        PipelineError, match=r"each image must have a label but 2 of 4 have none, number 1 first"
    ):
        read_part(recognized(tmp_path), "test")


def twelve(encode: bool) -> datasets.Dataset:
    """Return pictures of the classes 0 to 11, as numbers or as `datasets` makes classes of them."""
    data = pictures(IMAGES[:12], [0] * 12).remove_columns("label").add_column("label", list(range(12)))
    return data.class_encode_column("label") if encode else data


@pytest.mark.parametrize(("train", "test"), [(True, False), (False, True)])
def test_parts_that_number_the_classes_differently_are_refused(
    tmp_path: Path, train: bool, test: bool
) -> None:
    twelve(train).to_parquet(tmp_path / "train.parquet")
    twelve(train).to_parquet(tmp_path / "test.parquet")
    both = recognized(tmp_path)
    places = read_part(both, "test")[1]
    assert [read_classes(both)[place] for place in places] == [str(number) for number in range(12)]
    twelve(test).to_parquet(tmp_path / "test.parquet")
    with pytest.raises(PipelineError, match=r"test.parquet must have the class names of the training part, "):
        recognized(tmp_path)


def test_a_part_without_names_may_stand_beside_one_with_names_in_their_places(tmp_path: Path) -> None:
    pictures().to_parquet(tmp_path / "train.parquet")
    write(tmp_path / "test.parquet", image=[encoded(image) for image in IMAGES[:4]], label=LABELS[:4])
    assert read_part(recognized(tmp_path), "test")[1].tolist() == LABELS[:4].tolist()


def test_the_fine_label_of_two_is_taken_and_others_are_named(tmp_path: Path) -> None:
    label = datasets.ClassLabel(names=NAMES)
    kinds = features(img=datasets.Image(), fine_label=label, coarse_label=label)
    columns = {
        "img": [Image.fromarray(image) for image in IMAGES],
        "fine_label": LABELS,
        "coarse_label": 1 - LABELS,
    }
    data = datasets.Dataset.from_dict(columns, features=kinds)
    data.to_parquet(tmp_path / "set.parquet")
    assert read_part(recognized(tmp_path / "set.parquet"), "train")[1].tolist() == LABELS.tolist()
    data.rename_column("fine_label", "other").to_parquet(tmp_path / "set.parquet")
    with pytest.raises(PipelineError, match="must have one column of labels but has other, coarse_label: "):
        recognized(tmp_path / "set.parquet")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image": [b"no picture"], "label": [0]}, "the picture in row 0 must be a PNG, JPEG, "),
        ({"image": [{"bytes": None, "path": "a.png"}], "label": [0]}, "row 0 holds none, or a path alone: "),
        (
            {"image": [encoded(IMAGES[0])]},
            "must have a column of labels, such as label, but has only image: ",
        ),
        (
            {"a": [encoded(IMAGES[0])], "b": [b""], "label": [0]},
            "must have one column of images but has a, b: ",
        ),
        ({"image": [[[1, 2], [3]]], "label": [0]}, "must be of one size but have lists of 2, 1: "),
        (
            {"image": [["a", "b"]], "label": [0]},
            "row 0 and those after it must hold pictures or numbers but are of type string: ",
        ),
        ({"image": [[[1, 2], [3, None]]], "label": [0]}, "row 0 and those after it must hold every value"),
        (
            {f"p{n}": [0] for n in range(17)} | {"label": [0]},
            "must be a square grey image but there are 17 columns",
        ),
        (
            {f"p{n}": [0] for n in range(75)} | {"label": [0]},
            "75 columns of pixels, which may be colours in any",
        ),
        (
            {f"p{n}": [0] for n in sorted(range(16), key=str)} | {"label": [0]},
            "in order but p2 follows p15: ",
        ),
        ({f"p{n}": [0 if n else None] for n in range(16)} | {"label": [0]}, "but p0 in row 0 has none: "),
        ({"image": [{"bytes": 5}], "label": [0]}, "must have a column of pictures, such as image, "),
        (
            {"image": [[[1, 2]]], "label": ["x" * 2000]},
            "characters of a label must be at most 1,000 but is 2,000: ",
        ),
        (
            {"image": [[[1, 2]]], "label": [{"a": 1}]},
            "labels must be numbers or texts but are of type struct<a: int64>: ",
        ),
        (
            {f"p{n}": ["x"] for n in range(16)} | {"label": [0]},
            "pixels must be numbers but p0 is of type string",
        ),
    ],
)
def test_columns_that_make_no_images_are_refused(
    tmp_path: Path, columns: dict[str, Any], message: str
) -> None:
    path = write(tmp_path / "set.parquet", **columns)
    with pytest.raises(PipelineError, match=rf"{message}.*\.$"):
        read_part(recognized(path), "train")


def test_a_table_without_images_is_no_data_set(tmp_path: Path) -> None:
    path = write(tmp_path / "iris.parquet", sepal=[1.0], petal=[2.0], species=["setosa"])
    with pytest.raises(PipelineError, match="a column of pictures, .* has only sepal, petal, species"):
        recognized(path)


def test_shards_of_other_columns_are_refused(tmp_path: Path) -> None:
    pictures().to_parquet(tmp_path / "train-00000-of-00002.parquet")
    write(tmp_path / "train-00001-of-00002.parquet", text=["a"])
    with pytest.raises(
        PipelineError, match=r"train-00001.* must have the columns of .*train-00000.* but has others"
    ):
        recognized(tmp_path)


@pytest.mark.parametrize("seed", range(20))
def test_damage_is_an_error_of_one_line(tmp_path: Path, seed: int) -> None:
    pictures().to_parquet(tmp_path / "set.parquet")
    content, chance = np.fromfile(tmp_path / "set.parquet", np.uint8), np.random.default_rng(seed)
    content[chance.integers(4, len(content), size=len(content) // 20)] += 1
    content.tofile(tmp_path / "set.parquet")
    with pytest.raises(PipelineError, match=r"^[^\n]* must [^\n]*\.$"):
        read_part(recognized(tmp_path / "set.parquet"), "train")


@pytest.mark.parametrize(
    "about", [b"[" * 5000, b"[]", b"{", b'{"info": []}', b'{"info": {"features": []}}', b"{}" + b" " * 2**24]
)
def test_a_damaged_description_is_refused(tmp_path: Path, about: bytes) -> None:
    table = pa.table({"image": IMAGES.tolist(), "label": LABELS}).replace_schema_metadata(
        {"huggingface": about}
    )
    pq.write_table(table, tmp_path / "set.parquet")
    with pytest.raises(
        PipelineError, match=r"set.parquet.* under the key huggingface .* (but does not|but is .*): "
    ):
        recognized(tmp_path / "set.parquet")


@pytest.mark.parametrize(
    "feature", [{"names": 5}, {"names": {"a": 1}}, {"_type": ["ClassLabel"]}, {"_type": {}}]
)
def test_a_description_of_other_kinds_counts_for_nothing(tmp_path: Path, feature: dict[str, Any]) -> None:
    about = json.dumps({"info": {"features": {"image": feature, "label": feature}}})
    table = pa.table({"image": IMAGES.tolist(), "label": LABELS}).replace_schema_metadata(
        {"huggingface": about}
    )
    pq.write_table(table, tmp_path / "set.parquet")
    assert read_classes(recognized(tmp_path / "set.parquet")) == ("0", "1")


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    pictures().to_parquet(tmp_path / "set.parquet")
    (tmp_path / "set.parquet").write_bytes((tmp_path / "set.parquet").read_bytes()[:-20])
    with pytest.raises(PipelineError, match=r"set.parquet must be intact but is not \("):
        recognized(tmp_path / "set.parquet")


@pytest.mark.parametrize(
    "column",
    [
        pa.array([encoded(image) for image in IMAGES], pa.binary_view()),
        pa.array([encoded(image) for image in IMAGES]).dictionary_encode(),
        pa.FixedShapeTensorArray.from_numpy_ndarray(IMAGES),
        IMAGES.tolist(),
    ],
    ids=["views", "dictionary", "tensors", "lists"],
)
def test_further_types_of_columns_are_read(tmp_path: Path, column: Any) -> None:
    path = write(tmp_path / "set.parquet", features=column, label=[str(label).encode() for label in LABELS])
    pixels, labels = read_part(recognized(path), "train")
    np.testing.assert_array_equal(pixels[..., 0], IMAGES)
    assert labels.tolist() == [str(label) for label in LABELS]
