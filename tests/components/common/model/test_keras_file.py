import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.common.data.spec import MNIST_SPEC, ImageSpec
from components.common.errors import PipelineError
from components.common.model import keras_file
from components.common.model.classifier import Classifier
from components.common.model.keras_file import check_layers
from components.common.plan.training import RECIPES
from components.train.model import build_model

LARGE = ImageSpec(64, 96, 3, ("a", "b"))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    build_model(RECIPES["seed"], MNIST_SPEC).save(path)
    return path


def _changed(saved: Path, target: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Write the model again with another description of its layers."""
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(target, "w") as archive:
        for name in source.namelist():
            content = source.read(name)
            if name == "config.json":
                config = json.loads(content)
                change(config)
                content = json.dumps(config).encode()
            archive.writestr(name, content)
    return target


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("spec", [MNIST_SPEC, LARGE], ids=["mnist", "large"])
def test_every_layer_of_the_recipes_is_known(recipe: str, spec: ImageSpec, tmp_path: Path) -> None:
    for changes in ({"precision": "bfloat16", "dropout": 0.2}, {"optimizer": "muon"}):
        build_model(RECIPES[recipe].differing(**changes), spec).save(tmp_path / "model.keras")
        check_layers(tmp_path / "model.keras")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda layer: layer.update(class_name="Lambda"), "keras.layers.Lambda"),
        (lambda layer: layer.update(module="calendar"), "calendar.Rescaling"),
        (lambda layer: layer.update(registered_name="mine>Rescaling"), "keras.layers.Rescaling"),
        (
            lambda layer: layer["config"].update(
                scale={"module": "keras.saving", "class_name": "function", "config": "x"}
            ),
            "keras.saving.function",
        ),
        (
            lambda layer: layer["config"].update(scale=[{"class_name": "__lambda__", "config": {}}]),
            ".__lambda__",
        ),
    ],
)
def test_an_unknown_class_is_refused_before_anything_is_built(
    saved: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object], named: str
) -> None:
    path = _changed(saved, tmp_path / "model.keras", lambda config: change(config["config"]["layers"][1]))
    sys.modules.pop("calendar", None)
    with pytest.raises(
        PipelineError, match=r"must be made of the layers in components/.* but has "
    ) as refused:
        Classifier(tmp_path)
    assert f"{path} must be made of" in str(refused.value)
    assert repr(named) in str(refused.value)
    assert "calendar" not in sys.modules


def test_bounds_are_checked_before_the_content_is_read(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras_file, "LARGEST_LAYERS", 100)
    with pytest.raises(PipelineError, match=r"config\.json of .* in bytes must be at most 100 but is 101"):
        check_layers(saved)
    monkeypatch.setattr(keras_file, "LARGEST_MODEL", 1000)
    with pytest.raises(PipelineError, match=r"the content of .* in bytes must be at most 1,000 but is"):
        check_layers(saved)


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"[" * 200_000, b"\xff\xfe", b'{"class_name": {"class_name": 1}}']
)
def test_a_damaged_file_is_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    with pytest.raises(PipelineError, match="must be a readable Keras model but is not") as refused:
        check_layers(path)
    assert "\n" not in str(refused.value)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", content)
    with pytest.raises(PipelineError, match="must be (a readable Keras model|made of the layers)"):
        check_layers(path)
