import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.common.cores import cores
from components.common.data.info import SplitOptions
from components.common.data.raw_data import raw_files, write_part
from components.common.data.source import SourceInfo
from components.common.data.spec import MNIST_SPEC, ImageSpec
from components.common.errors import PipelineError
from components.common.model.training_record import Training
from components.common.plan.run import DataPlan
from components.common.plan.training import TrainConfig
from components.common.storage.files import combined_digest, sha256_file
from components.common.storage.object_store import ObjectStore
from components.ingest.collect import collect_data
from components.preprocess.prepare import prepare_splits
from components.train.fit import fit_model
from pipelines.local.platform import Platform
from pipelines.models.reproduce import Recorded, reproduce
from tests.linear_models import BINARY
from tests.records import COLOUR, random_split, source_info

CONFIG = TrainConfig(filters=((2,),), dense_units=8, epochs=1)


FILES = {file: "e" * 64 for part in ("test", "train") for file in raw_files(part, MNIST_SPEC)}


@pytest.fixture(scope="module")
def trained(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """The data, configuration and outcome of a version that was just trained."""
    work, plan = (
        tmp_path_factory.mktemp("trained"),
        DataPlan(source="digits", split_seed=5, stratify=True, fraction=0.5),
    )
    with pytest.MonkeyPatch.context() as environment:
        for name, value in platform.environment.items():
            environment.setenv(name, value)
        collect_data(plan, work / "raw")
    prepare_splits(work / "raw", plan, development=work / "dev", test=work / "test")
    training = fit_model(work / "dev", CONFIG, recipe="seed", target=work / "model", on_epoch=lambda _: None)
    return Recorded.from_training(training)


@pytest.fixture
def recorded(platform: Platform, trained: Recorded, monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """The version, with its data in the store that the environment names."""
    for name, value in platform.environment.items():
        monkeypatch.setenv(name, value)
    return trained


def test_the_same_data_and_configuration_give_the_same_weights(recorded: Recorded, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    told: list[str] = []
    outcome = reproduce(recorded, scratch, tmp_path / "again", told.append)
    assert outcome.identical
    assert list(outcome.lines())[-1] == f"identical: weights digest {recorded.weights_digest}"
    assert outcome.differing == {}
    assert (tmp_path / "again" / "model.keras").exists()
    assert told[0].startswith(f"same data, digest {recorded.data_digest[:12]}")


def test_a_variable_that_the_training_sets_is_no_difference(
    recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "removed when the test ends")
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    changed = replace(
        recorded,
        config=CONFIG.differing(compiled_loop=True, batch_size=128),
        circumstances={"compute.TF_ENABLE_ONEDNN_OPTS": "default"},
    )
    outcome = reproduce(changed, scratch, None, lambda _: None)
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "1"
    assert "TF_ENABLE_ONEDNN_OPTS" not in outcome.differing


def test_the_recorded_number_of_cores_is_used(
    recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With it a batch is split as it was, on a machine with more or fewer cores."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    used: list[int] = []

    def fit(*given: Any, **options: Any) -> Training:
        used.append(cores())
        return fit_model(*given, **options)

    monkeypatch.setattr("pipelines.models.reproduce.fit_model", fit)
    changed = replace(recorded, circumstances={**recorded.circumstances, "compute.cpus": "3"})
    outcome = reproduce(changed, scratch, None, lambda _: None)
    assert used == [3]
    assert outcome.differing["cpus"][0] == "3"


def test_another_seed_gives_other_weights_and_a_negative_verdict(recorded: Recorded, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    outcome = reproduce(replace(recorded, config=CONFIG.differing(seed=1)), scratch, None, lambda _: None)
    assert not outcome.identical
    assert list(outcome.lines())[-1].startswith(
        f"not identical: weights digest was {recorded.weights_digest}, is "
    )


@pytest.mark.parametrize(
    ("spec", "own_validation"), [(COLOUR, True), (BINARY, False)], ids=["colour", "binary"]
)
def test_a_version_of_any_images_is_reproduced(
    platform: Platform,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spec: ImageSpec,
    own_validation: bool,
) -> None:
    for name, value in platform.environment.items():
        monkeypatch.setenv(name, value)
    raw = tmp_path / "raw"
    raw.mkdir()
    parts = ("train", "validation", "test") if own_validation else ("train", "test")
    for seed, part in enumerate(parts):
        write_part(raw, part, random_split(60, seed, spec))
    store = ObjectStore.from_environment()
    assert store
    files = {path.name: sha256_file(path) for path in raw.iterdir()}
    for name in files:
        store.put_content(raw / name)
    counts = dict.fromkeys(parts, 60)
    info = source_info(spec=spec).model_copy(
        update={"files": files, "counts": counts, "notes": ("resized",), "digest": combined_digest(files)}
    )
    info.save(raw)
    prepare_splits(raw, DataPlan(), development=tmp_path / "dev", test=tmp_path / "test")
    config = CONFIG.differing(batch_size=16)
    training = fit_model(
        tmp_path / "dev", config, recipe="seed", target=tmp_path / "model", on_epoch=lambda _: None
    )
    scratch = tmp_path / "scratch"
    scratch.mkdir()

    outcome = reproduce(Recorded.from_training(training), scratch, None, lambda _: None)

    assert outcome.identical
    assert SourceInfo.load(scratch / "raw") == info


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"split": SplitOptions(6, stratify=True, fraction=0.5)},
            "must have the digest .* but this code",
        ),
        (
            {"raw": source_info().model_copy(update={"files": {"train-images-idx3-ubyte": "e" * 64}})},
            "must be images and labels of each part but its record names train-images-idx3-ubyte",
        ),
        ({"raw": source_info().model_copy(update={"files": FILES})}, "must hold t10k-images-idx3-ubyte"),
        (
            {"raw": source_info().model_copy(update={"files": {**FILES, "../outside": "e" * 64}})},
            r"must be images and labels of each part but its record names \.\./outside",
        ),
    ],
)
def test_data_that_is_gone_or_different_is_an_error(
    recorded: Recorded, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(PipelineError, match=message):
        reproduce(replace(recorded, **change), scratch, None, lambda _: None)
    assert not (tmp_path / "outside").exists()


def test_tags_of_older_versions_give_the_same_records(recorded: Recorded) -> None:
    tags = {
        "dataset": recorded.raw.name,
        "data_source": recorded.raw.source,
        "raw_files": json.dumps(recorded.raw.files),
        "split_seed": "5",
        "stratify": "True",
        "fraction": "0.5",
        "config": json.dumps(recorded.config.model_dump(mode="json")),
        "recipe": "seed",
        "data_digest": recorded.data_digest,
        "weights_digest": recorded.weights_digest,
        "git_sha": recorded.git_sha,
    }
    raw = recorded.raw.model_copy(update={"counts": {}, "form": "idx"})
    assert Recorded.from_tags(tags, "m", "1") == replace(recorded, raw=raw, circumstances=tags)
    for changed, message in {
        '{"batch_size": 0}': "the configuration of a version must be one of a training but batch_size: ",
        "[]": "the tag 'config' of m version 1 must be as it was registered but is not",
    }.items():
        with pytest.raises(PipelineError, match=message):
            Recorded.from_tags({**tags, "config": changed}, "m", "1")


def test_tags_that_lack_the_lineage_are_refused() -> None:
    with pytest.raises(PipelineError, match="lacks dataset, raw_files, split_seed"):
        Recorded.from_tags({"config": "{}"}, "m", "1")
