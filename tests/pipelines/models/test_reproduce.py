import json
import os
from pathlib import Path

import pytest

from components.common.errors import PipelineError
from components.common.plan.training import TrainConfig
from components.ingest.collect import IngestConfig, ingest
from components.preprocess.prepare import PreprocessConfig, preprocess
from components.train.fit import fit_model
from pipelines.local.platform import Platform
from pipelines.models.reproduce import reproduce

CONFIG = TrainConfig(filters=((2,),), dense_units=8, epochs=1)


@pytest.fixture
def tags(platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Those of a version that was just trained, as the steps record them."""
    for name, value in platform.environment.items():
        monkeypatch.setenv(name, value)
    raw = ingest(IngestConfig("digits"), tmp_path / "raw")
    prepared = preprocess(
        tmp_path / "raw",
        PreprocessConfig(5, stratify=True, fraction=0.5),
        tmp_path / "dev",
        tmp_path / "test",
    )
    training = fit_model(
        tmp_path / "dev", CONFIG, recipe="seed", target=tmp_path / "model", on_epoch=lambda _: None
    )
    return {
        "dataset": raw.name,
        "raw_files": json.dumps(raw.files),
        "split_seed": "5",
        "stratify": "True",
        "fraction": "0.5",
        "config": json.dumps(training.config),
        "recipe": "seed",
        "data_digest": prepared.development.digest,
        "weights_digest": training.weights_digest,
        "lock_digest": "another",
    }


def test_the_same_data_and_configuration_give_the_same_weights(tags: dict[str, str], tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    told: list[str] = []
    outcome = reproduce(tags, scratch, tmp_path / "again", told.append)
    assert outcome.identical
    assert list(outcome.lines())[-1] == f"identical: weights digest {tags['weights_digest']}"
    assert outcome.differing["lock_digest"][0] == "another"
    assert (tmp_path / "again" / "model.keras").exists()
    assert told[0].startswith(f"same data, digest {tags['data_digest'][:12]}")


def test_what_the_training_itself_sets_is_no_difference(
    tags: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "removed when the test ends")
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    in_two_shards = CONFIG.differing(compiled_loop=True, batch_size=128).model_dump(mode="json")
    recorded = {"config": json.dumps(in_two_shards), "compute.TF_ENABLE_ONEDNN_OPTS": "default"}
    outcome = reproduce(tags | recorded, scratch, None, lambda _: None)
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "1"
    assert "TF_ENABLE_ONEDNN_OPTS" not in outcome.differing


def test_another_seed_gives_other_weights_and_it_says_so(tags: dict[str, str], tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    changed = tags | {"config": json.dumps(CONFIG.differing(seed=1).model_dump(mode="json"))}
    outcome = reproduce(changed, scratch, None, lambda _: None)
    assert not outcome.identical
    assert list(outcome.lines())[-1].startswith(
        f"not identical: weights digest was {tags['weights_digest']}, is "
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"split_seed": "6"}, r"the prepared data must have the digest .* but this code prepares"),
        (
            {"raw_files": json.dumps({"train-images-idx3-ubyte": "e" * 64})},
            "must hold train-images-idx3-ubyte",
        ),
    ],
)
def test_data_that_is_gone_or_different_is_said(
    tags: dict[str, str], tmp_path: Path, change: dict[str, str], said: str
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(PipelineError, match=said):
        reproduce(tags | change, scratch, None, lambda _: None)


def test_a_version_without_lineage_cannot_be_made_again(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="lacks raw_files, split_seed"):
        reproduce({"config": "{}"}, tmp_path, None, lambda _: None)
