"""A model of colour images, and one of two classes, from the registration to the rollback; `serve` has its own test."""

import json
import uuid
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from components.common.data.spec import ImageSpec
from components.register.publish import publish
from pipelines.cli.main import app
from pipelines.local.platform import Platform
from tests.linear_models import BINARY, save_candidate
from tests.records import COLOUR, lineage


def _said(*arguments: str) -> str:
    answered = CliRunner().invoke(app, arguments)
    assert answered.exit_code == 0, answered.output
    return answered.stdout


@pytest.mark.parametrize("spec", [COLOUR, BINARY], ids=["colour", "binary"])
def test_a_model_of_any_images_is_registered_verified_used_promoted_and_rolled_back(
    platform: Platform, spec: ImageSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    for name, value in platform.environment.items():
        monkeypatch.setenv(name, value)
    model = f"used-{uuid.uuid4().hex}"
    (tmp_path / "candidate").mkdir()
    split = save_candidate(tmp_path / "candidate", spec)
    run_id = MlflowClient().create_run("0").info.run_id
    for number, before in ((1, None), (2, "1")):
        records = lineage(model, f"{model} {number}", champion_version=before, spec=spec)
        publish(tmp_path / "candidate", records, run_id=run_id)

    assert "version 2 is what was registered" in _said("models", "verify", "2", "--model", model)
    shown = json.loads(_said("models", "show", "2", "--json", "--model", model))
    assert (shown["images"], shown["class count"]) == (spec.size, len(spec.classes))
    assert tuple(shown["classes"]) == spec.classes

    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for image, name in zip(split.images, spec.classes, strict=True):
        picture = Image.fromarray(image[..., 0] if spec.channels == 1 else image)
        picture.resize((90, 110)).save(pictures / f"{name}.png")
        picture.resize((90, 110)).save(pictures / f"{name}.jpg")
    np.save(pictures / "z.npy", split.images)
    answers = _said("predict", str(pictures), "--format", "json", "--model", model)
    found = [json.loads(line) for line in answers.splitlines()]
    assert [answer["label"] for answer in found] == [
        *(name for name in sorted(spec.classes) for _ in ("jpg", "png")),
        *spec.classes,
    ]
    assert all(tuple(answer["probabilities"]) == spec.classes for answer in found)

    assert "version 1 is the champion again" in _said("models", "rollback", "--model", model)
    assert "version 2 is the new champion" in _said("models", "promote", "2", "--model", model)
