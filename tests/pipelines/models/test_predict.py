import csv
import io
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.common.errors import PipelineError
from components.common.model.classifier import Classifier
from pipelines.models.predict import (
    RAW_WRITERS,
    WRITERS,
    Prediction,
    Writer,
    counted,
    predictions,
    progress_printer,
)
from pipelines.models.sources import read_sources
from tests.linear_models import BINARY, blobs, save_candidate
from tests.pipelines.models.drawings import landscape
from tests.records import COLOUR


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """Says 0 to what is mostly bright above, else 1."""
    import keras

    directory = tmp_path_factory.mktemp("model")
    dense = keras.layers.Dense(10, activation="softmax")
    inputs = keras.Input((28, 28), dtype="uint8")
    rescaled = keras.layers.Rescaling(1 / 255)
    model = keras.Sequential([inputs, rescaled, keras.layers.Flatten(), dense])
    kernel = np.zeros((28, 28, 10), np.float32)
    kernel[:14, :, 0] = kernel[14:, :, 1] = 0.1
    dense.set_weights([kernel.reshape(784, 10), np.full(10, -5, np.float32) * (np.arange(10) > 1)])
    model.save(directory / "model.keras")
    return Classifier(directory)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two images in one array, of which the second leaves the model undecided, a landscape, and a text."""
    stack = np.zeros((2, 28, 28), np.uint8)
    stack[0, 4:14, 10:20] = 255
    np.save(tmp_path / "a.npy", stack)
    (tmp_path / "below").mkdir()
    landscape().save(tmp_path / "below" / "b.JPG", "JPEG")
    (tmp_path / "c.txt").write_text("no picture")
    return tmp_path


def _found(classifier: Classifier, *paths: object) -> list[Prediction]:
    return list(
        predictions(classifier, read_sources(map(str, paths), classifier.spec, None), 0.6, lambda _: None)
    )


@pytest.fixture(scope="module", params=[COLOUR, BINARY], ids=["colour", "binary"])
def other(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    """A model of blobs."""
    directory = tmp_path_factory.mktemp("other")
    save_candidate(directory, request.param)
    return Classifier(directory)


def test_pictures_and_arrays_are_answered_with_the_names_of_the_classes(
    other: Classifier, tmp_path: Path
) -> None:
    split = blobs(other.spec)
    np.save(tmp_path / "all.npy", split.images)
    for image, name in zip(split.images, other.spec.classes, strict=True):
        picture = Image.fromarray(image[..., 0] if other.spec.channels == 1 else image)
        for ending in ("png", "jpg", "bmp", "webp", "tif"):
            picture.resize((100, 80)).save(tmp_path / f"{name}.{ending}")

    found = _found(other, tmp_path)

    count = len(other.spec.classes)
    assert [prediction.label for prediction in found[:count]] == list(other.spec.classes)
    assert len(found) == 6 * count
    for prediction in found[count:]:
        assert prediction.label == Path(prediction.name).stem
        assert list(prediction.probabilities) == list(other.spec.classes)
        assert prediction.probability == max(prediction.probabilities.values()) > 0.6


def test_an_array_of_the_models_size_is_taken_as_it_is(other: Classifier, tmp_path: Path) -> None:
    split = blobs(other.spec)
    np.save(tmp_path / "all.npy", split.images)
    answers = [list(prediction.probabilities.values()) for prediction in _found(other, tmp_path)]
    np.testing.assert_allclose(answers, other.probabilities(split.images), atol=1e-6)


def test_a_directory_is_read_whole_and_in_order(classifier: Classifier, pictures: Path) -> None:
    first, second, third = _found(classifier, pictures)
    assert (first.name, first.label, first.rejected) == (f"{pictures}/a.npy[0]", "0", False)
    assert first.probability == max(first.probabilities.values()) > 0.9
    assert (second.name, second.rejected, second.refused) == (f"{pictures}/a.npy[1]", True, "")
    assert (third.label, third.rejected, third.probabilities) == (None, True, {})
    assert "no even background" in third.refused


@pytest.mark.parametrize("count", [1, 256, 600])
def test_batches_keep_the_order(classifier: Classifier, tmp_path: Path, count: int) -> None:
    stack = np.zeros((count, 28, 28), np.uint8)
    stack[::2, 4:14] = stack[1::2, 16:26] = 255
    np.save(tmp_path / "many.npy", stack)
    done: list[int] = []
    found = list(
        predictions(
            classifier, read_sources([str(tmp_path / "many.npy")], classifier.spec, None), 0.5, done.append
        )
    )
    assert [prediction.label for prediction in found] == [str(number % 2) for number in range(count)]
    assert done[-1] == count


def test_batches_of_large_images_are_small(
    classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.models.predict.BATCH_VALUES", 2 * classifier.spec.pixels)
    np.save(tmp_path / "five.npy", np.zeros((5, *classifier.spec.shape), np.uint8))
    done: list[int] = []
    assert (
        len(
            list(
                predictions(
                    classifier,
                    read_sources([str(tmp_path / "five.npy")], classifier.spec, None),
                    0.5,
                    done.append,
                )
            )
        )
        == 5
    )
    assert done == [2, 4, 5]


@pytest.mark.parametrize("path", ["missing.png", "c.txt", "empty", "missing"])
def test_a_path_without_pictures_is_a_mistake(classifier: Classifier, pictures: Path, path: str) -> None:
    (pictures / "empty").mkdir()
    with pytest.raises(PipelineError, match=f"{path} must be "):
        _found(classifier, pictures / path)


def test_every_format_has_the_same_content(classifier: Classifier, pictures: Path) -> None:
    found = _found(classifier, pictures)

    def written(kind: str) -> str:
        stream = io.StringIO()
        WRITERS[kind](iter(found), classifier.spec.classes, stream)
        return stream.getvalue()

    documents = [json.loads(line) for line in written("json").splitlines()]
    rows = list(csv.DictReader(io.StringIO(written("csv"))))
    lines = written("table").splitlines()
    assert len(documents) == len(rows) == len(lines) == 3
    for prediction, document, row, line in zip(found, documents, rows, lines, strict=True):
        assert document["image"] == row["image"] == prediction.name
        assert line.endswith(prediction.name)
        assert document["label"] == prediction.label
        assert row["rejected"] == str(document["rejected"]).lower() == str(prediction.rejected).lower()
        if prediction.refused:
            assert document["refused"] == row["refused"] == prediction.refused
            assert line.startswith(f"refused: {prediction.refused}")
        else:
            assert row["label"] == prediction.label
            assert document["probabilities"] == pytest.approx(
                {name: float(row[f"p:{name}"]) for name in classifier.spec.classes}
            )
            assert line.startswith(f"{prediction.label}  ")
            assert ("unsure" in line) == prediction.rejected


def test_the_column_of_labels_is_as_wide_as_the_longest_name_of_a_class() -> None:
    stream = io.StringIO()
    found = [Prediction("a.png", "hat", 0.9, False, {"hat": 0.9, "ankle boot": 0.1})]
    WRITERS["table"](found, ("hat", "ankle boot"), stream)
    assert stream.getvalue() == "hat          90.0%  a.png\n"


@pytest.mark.parametrize(
    ("writer", "expected"),
    [
        (WRITERS["csv"], "'=cat.png,'@cat,false,,1.000000,0.000000"),
        (RAW_WRITERS["csv"], "=cat.png,@cat,false,,1.000000,0.000000"),
        (WRITERS["table"], "@cat  100.0%  =cat.png"),
    ],
)
def test_a_formula_stays_a_text_in_a_spreadsheet(writer: Writer, expected: str) -> None:
    stream = io.StringIO()
    found = [Prediction("=cat.png", "@cat", 1.0, False, {"@cat": 1.0, "dog": 0.0})]
    writer(found, ("@cat", "dog"), stream)
    assert stream.getvalue().splitlines()[-1] == expected


@pytest.mark.parametrize("form", ["csv", "table"])
def test_a_name_does_not_reach_the_terminal_as_a_command(form: str) -> None:
    stream = io.StringIO()
    WRITERS[form]([Prediction("\x1b[2J\n\udcff.png", None, 0.0, True, {}, "it is \x07")], ("a",), stream)
    assert "\\x1b[2J\\n\\udcff.png" in stream.getvalue()
    assert "it is \\x07" in stream.getvalue()
    assert stream.getvalue().isascii()
    assert not {"\x1b", "\x07"} & set(stream.getvalue())


def test_progress_is_printed_at_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 2.5, 3.0, 5.0])
    monkeypatch.setattr("pipelines.models.predict.time.monotonic", lambda: next(clock))
    stream = io.StringIO()
    progress = progress_printer(stream)
    for done in (100, 250, 300, 500):
        progress(done)
    assert stream.getvalue().splitlines() == ["250 images, 100 a second", "500 images, 100 a second"]


def test_an_enlarged_negative_of_an_image_is_read_as_the_image(
    classifier: Classifier, tmp_path: Path
) -> None:
    bar = np.full((280, 280), 255, np.uint8)
    bar[40:240, 130:150] = 0
    bar[40:60, 60:220] = 0
    Image.fromarray(bar).save(tmp_path / "t.png")
    (found,) = _found(classifier, tmp_path / "t.png")
    assert found.label == "0"


def test_answers_and_refusals_are_counted_while_predictions_pass() -> None:
    found = [
        Prediction("a", "1", 0.9, False, {"0": 0.1, "1": 0.9}),
        Prediction("b", None, 0.0, True, {}, "it is blank"),
        Prediction("c", "0", 0.4, True, {"0": 0.4, "1": 0.3}),
    ]
    answered: Counter[bool] = Counter()
    assert list(counted(found, answered)) == found
    assert answered == {True: 2, False: 1}
