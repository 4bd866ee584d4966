"""Made-up records, as the steps write them, for tests of the steps after them."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.common.data.dataset import Split, write_splits
from components.common.data.info import DatasetInfo, SplitOptions
from components.common.data.source import SourceInfo
from components.common.data.spec import MNIST_SPEC, ImageSpec
from components.common.model.judgement import Judgement
from components.common.model.lineage import Lineage
from components.common.model.training_record import Epoch, Training
from components.common.plan.resolve import resolve
from components.common.plan.run import RunPlan
from components.common.storage.files import combined_digest, file_digests, sha256_file

if TYPE_CHECKING:
    import optuna

SPLIT = SplitOptions(seed=23, stratify=False, fraction=1.0)


COLOUR = ImageSpec(32, 32, 3, ("ankle boot", "bag", "coat"))


def random_split(count: int, seed: int = 0, spec: ImageSpec = MNIST_SPEC) -> Split:
    """Random images, all different, with labels 0, 1, ... of all classes in turn."""
    images = np.random.default_rng(seed).integers(0, 256, (count, *spec.shape), dtype=np.uint8)
    return Split(images, (np.arange(count) % len(spec.classes)).astype(spec.label_type), spec)


def source_info(name: str = "stripes", version: str = "", spec: ImageSpec = MNIST_SPEC) -> SourceInfo:
    return SourceInfo(
        name=name,
        source="made up",
        version=version,
        files={"train-images-idx3-ubyte": "1" * 64},
        counts={"train": 20, "test": 10},
        batches=(),
        digest="d" * 64,
        spec=spec,
    )


def save_source(directory: Path, spec: ImageSpec = MNIST_SPEC, **changes: Any) -> SourceInfo:
    """Write a made-up description of the raw data in a directory, with the digests of its files."""
    files = {name: digest for name, digest in file_digests(directory).items() if name != SourceInfo.FILE}
    info = source_info(spec=spec).model_copy(
        update={"files": files, "digest": combined_digest(files), **changes}
    )
    info.save(directory)
    return info


def dataset_info(
    name: str = "stripes", digest: str = "b" * 64, test_digest: str = "c" * 64, spec: ImageSpec = MNIST_SPEC
) -> DatasetInfo:
    return DatasetInfo(
        raw=source_info(name, spec=spec),
        split=SPLIT,
        files={},
        counts={"train": 16, "validation": 4},
        class_counts={},
        digest=digest,
        test_digest=test_digest,
    )


def prepared(
    directory: Path, splits: Mapping[str, Split], name: str = "stripes", test_digest: str | None = None
) -> DatasetInfo:
    """Write splits with made-up records."""
    spec = next(iter(splits.values())).spec
    raw = source_info(name, spec=spec)
    return write_splits(directory, splits, raw=raw, split=SPLIT, test_digest=test_digest)


def training_record(**changes: Any) -> Training:
    record: dict[str, Any] = {
        "recipe": "fast",
        "seed": 7,
        "config": {},
        "parameters": 707,
        "validation_accuracy": 0.9,
        "validation_loss": 0.3,
        "history": [Epoch(1, 0.4, 0.8, 0.3, 0.9, 1.0)],
        "seconds": 1.0,
        "images_per_second": 100.0,
        "weights_digest": "a" * 64,
        "dataset": dataset_info(),
        "runtime": {},
        "provenance": {},
        "environment": {},
    }
    return Training(**{**record, **changes})


def run_plan(run_id: str = "run", *, dataset: str = "stripes", gpu_count: int = 0, **options: Any) -> RunPlan:
    """Return the plan of a run, as its first task writes it; options by short form, or by `section__option`."""
    given = {name.replace("__", "."): value for name, value in options.items()}
    plan = resolve([("test", given)], run_id=run_id, run_name=run_id, gpu_count=gpu_count).plan
    return plan.named(dataset, plan.data.version)


def judgement(**changes: Any) -> Judgement:
    record: dict[str, Any] = {
        "training": training_record(),
        "test_digest": "c" * 64,
        "candidate": "tuned",
        "action": "register",
        "reasons": ["there is no champion yet: first champion"],
        "verdict": "first",
        "temperature": 0.5,
        "reject_below": 0.9,
        "champion_version": None,
        "summary": "## Register: first champion",
    }
    return Judgement(**{**record, **changes})


def judgement_digest(evaluation: Path) -> str:
    """Return what `evaluate` returns of a directory with judgement.json."""
    return sha256_file(evaluation / Judgement.FILE)


def lineage(
    model: str,
    run_id: str,
    *,
    champion_version: str | None = None,
    summary: str = "",
    spec: ImageSpec = MNIST_SPEC,
    **options: Any,
) -> Lineage:
    """Return the records of a run that registers a version of `model`."""
    training = training_record(dataset=dataset_info(spec=spec))
    return Lineage(
        run_plan(run_id, model_name=model, **options),
        judgement(training=training, champion_version=champion_version, summary=summary),
    )


def stored_study(name: str = "run") -> "optuna.Study":
    """Return a study as `OPTUNA_STORAGE` has it, without making what is missing of it."""
    import optuna

    from components.tune.study import storage

    return optuna.load_study(study_name=name, storage=storage())
