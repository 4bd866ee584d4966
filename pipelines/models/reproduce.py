"""Train a registered version again from what its tags say."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from components.common.data.dataset import read_info
from components.common.data.raw_data import SourceInfo, read_part, write_source
from components.common.errors import PipelineError
from components.common.model.training_record import Epoch
from components.common.plan.training import TrainConfig
from components.common.provenance import PREFIX, code_digest, compute_environment, lock_digest
from components.common.storage.files import combined_digest
from components.common.storage.object_store import ObjectStore
from components.preprocess.prepare import PreprocessConfig, preprocess
from components.train.fit import fit_model

NEEDED = (
    "raw_files",
    "split_seed",
    "stratify",
    "fraction",
    "config",
    "data_digest",
    "weights_digest",
    "recipe",
)


@dataclass(frozen=True)
class Reproduction:
    """Two weights digests, and what of the circumstances differs: (recorded, now) by name."""

    recorded: str
    trained: str
    differing: dict[str, tuple[str, str]]

    @property
    def identical(self) -> bool:
        return self.recorded == self.trained

    def lines(self) -> Iterator[str]:
        for name, (recorded, now) in self.differing.items():
            yield f"differs: {name} was {recorded}, is {now}"
        if self.identical:
            yield f"identical: weights digest {self.trained}"
        else:
            yield f"not identical: weights digest was {self.recorded}, is {self.trained}"


def reproduce(
    tags: Mapping[str, str], scratch: Path, target: Path | None, tell: Callable[[str], None]
) -> Reproduction:
    """Fetch the version's raw data by its digests, prepare it, and train with the recorded configuration.

    Args:
        tags: The version's.
        scratch: Empty directory for the data, and for the model where there is no `target`.
        target: New directory for the model.
        tell: Told how it goes.

    Raises:
        PipelineError: The tags do not say enough, the data is gone, or is prepared to something else by this code.
    """
    if missing := [name for name in NEEDED if name not in tags]:
        raise PipelineError(
            f"a version must carry its lineage to be made again but lacks {', '.join(missing)}: "
            "it was registered without it; register a new one."
        )
    _fetch(json.loads(tags["raw_files"]), tags, scratch / "raw")
    config = PreprocessConfig(int(tags["split_seed"]), tags["stratify"] == "True", float(tags["fraction"]))
    preprocess(scratch / "raw", config, scratch / "development", scratch / "test")
    digest = read_info(scratch / "development").digest
    if digest != tags["data_digest"]:
        raise PipelineError(
            f"the prepared data must have the digest {tags['data_digest']} but this code prepares {digest}: "
            f"check out commit {tags.get('git_sha', 'unknown')}."
        )
    tell(f"same data, digest {digest[:12]}; training with the recorded configuration")

    # Before TensorFlow starts, as at registration: its start fills settings in.
    differences = _differences(tags)

    def on_epoch(epoch: Epoch) -> None:
        tell(f"epoch {epoch.epoch}  loss {epoch.loss:.4f}  validation {epoch.val_accuracy:.4f}")

    training = fit_model(
        scratch / "development",
        TrainConfig.model_validate(json.loads(tags["config"])),
        recipe=tags["recipe"],
        target=target or scratch / "model",
        on_epoch=on_epoch,
    )
    return Reproduction(tags["weights_digest"], training.weights_digest, differences)


def _fetch(files: dict[str, str], tags: Mapping[str, str], raw: Path) -> None:
    store = ObjectStore.from_environment()
    if store is None:
        raise PipelineError(
            "the data must come from the object store that the version was trained with but none is named: "
            "set S3_ENDPOINT_URL and S3_BUCKET."
        )
    raw.mkdir()
    for name, digest in files.items():
        if not store.get_content(digest, raw / name):
            raise PipelineError(
                f"the object store must hold {name} with sha256 {digest} but does not: restore it."
            )
    counts = {part: len(read_part(raw, part).labels) for part in ("train", "test")}
    source, version = tags.get("data_source", ""), tags.get("data_version", "")
    digest = combined_digest(files)
    write_source(raw, SourceInfo(tags["dataset"], source, version, files, counts, (), digest))


def _differences(tags: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    now = {"code_digest": code_digest(), "lock_digest": lock_digest(), **compute_environment()}
    recorded = {name: tags.get(name, "unknown") for name in now}
    return {
        name.removeprefix(PREFIX): (recorded[name], now[name]) for name in now if recorded[name] != now[name]
    }
