import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras import Input, Model, layers, ops
from numpy.typing import NDArray

from components.common.data.spec import MNIST_SPEC, ImageSpec
from components.common.errors import PipelineError
from components.common.model.exchange import float32_copy
from components.common.model.served_model import ServedModel
from components.common.plan.training import RECIPES
from components.train.model import build_model
from pipelines.models.formats import FORMATS
from tests.records import COLOUR, random_split

SMALL = {"dense_units": 8, "precision": "bfloat16"}
MODELS: dict[str, tuple[ImageSpec, dict[str, object]]] = {
    "seed": (COLOUR, {"filters": ((4,), (8,)), "dense_units": 8}),
    "fast": (MNIST_SPEC, {"filters": ((4,), (8,)), **SMALL}),
    "best": (MNIST_SPEC, {"filters": ((4, 4), (8, 8)), **SMALL}),
}
IMAGES = 30
# A model, images, and its answers.
Known = tuple[Any, NDArray[np.uint8], NDArray[np.float32]]


@pytest.fixture(scope="module")
def models() -> dict[str, Known]:
    """Small models of each recipe in float32, with some images and what they answer."""
    found, random = {}, np.random.default_rng(0)
    for recipe, (spec, changes) in MODELS.items():
        built = build_model(RECIPES[recipe].differing(**changes), spec)
        images = random_split(IMAGES, spec=spec).images
        # Statistics of batch normalization that a training would leave.
        built.set_weights(
            [weights + random.uniform(0, 0.02, weights.shape) for weights in built.get_weights()]
        )
        model = float32_copy(built)
        found[recipe] = (model, images, ServedModel(model).predict(images))
    return found


# The network of `best` has all layers of that of `fast`, and views.
@pytest.mark.parametrize("recipe", ["seed", "best"])
@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_answers_as_keras_does(
    kind: str, recipe: str, models: dict[str, Known], tmp_path: Path
) -> None:
    model, images, expected = models[recipe]
    path = tmp_path / FORMATS[kind].path

    FORMATS[kind].write(model, path, False)
    answers = FORMATS[kind].open(path)

    np.testing.assert_allclose(answers(images), expected, atol=1e-5)
    np.testing.assert_allclose(answers(images[:1]), expected[:1], atol=1e-5)


@pytest.mark.parametrize("kind", FORMATS)
def test_int8_is_smaller_and_answers_nearly_alike(
    kind: str, models: dict[str, Known], tmp_path: Path
) -> None:
    model, images, expected = models["fast"]
    sizes = []
    for int8 in (False, True):
        path = tmp_path / str(int8) / FORMATS[kind].path
        path.parent.mkdir()
        FORMATS[kind].write(model, path, int8)
        sizes.append(sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file()))

    difference = np.abs(FORMATS[kind].open(path)(images) - expected).max()

    assert 0 < difference < 0.05
    assert kind in {"keras", "saved_model"} or sizes[1] < sizes[0]
    np.testing.assert_array_equal(ServedModel(model).predict(images), expected)


def test_an_operation_that_litert_lacks_is_refused(tmp_path: Path) -> None:
    image = Input((4, 4, 1), dtype="uint8", name="image")
    values = ops.linalg.inv(ops.cast(image, "float32")[..., 0])
    model = float32_copy(Model(image, layers.Softmax()(layers.Flatten()(values))))

    with pytest.raises(PipelineError) as refused:
        FORMATS["litert"].write(model, tmp_path / "model.tflite", False)

    assert str(refused.value) == (
        "the model must be made of operations that LiteRT has but uses MatrixInverse: choose another format."
    )


def test_a_runtime_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert FORMATS["openvino"].runtime_version()[0].isdigit()
    monkeypatch.setitem(sys.modules, "openvino", None)

    with pytest.raises(PipelineError) as refused:
        FORMATS["openvino"].runtime_version()

    assert "the Python package openvino must be installed" in str(refused.value)
    assert "its extra `export`" in str(refused.value)
