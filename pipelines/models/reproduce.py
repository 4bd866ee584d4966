"""Repetition of the training of a registered version, from the records kept with it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import ValidationError

from components.common.cores import cores
from components.common.data.info import SplitOptions
from components.common.data.raw_data import PARTS, open_part, raw_files
from components.common.data.source import SourceInfo
from components.common.errors import PipelineError
from components.common.model.stored_version import verified_lineage
from components.common.model.training_record import Epoch, Training
from components.common.model.version_tags import version_tags
from components.common.plan.run import DataPlan
from components.common.plan.training import TrainConfig
from components.common.provenance import PREFIX, code_digest, compute_environment, lock_digest
from components.common.settings import export
from components.common.storage.files import inside
from components.common.storage.object_store import ObjectStore
from components.preprocess.prepare import prepare_splits
from components.train.fit import fit_model

if TYPE_CHECKING:
    from mlflow import MlflowClient

NEEDED = (
    "dataset",
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
class Recorded:
    """A version's data, configuration and outcome.

    Attributes:
        raw: Description of the raw data.
        split: Options of the split into training and validation examples.
        recipe: Recipe of the training.
        config: Configuration of the training.
        data_digest: Digest of the prepared data.
        weights_digest: Digest of the trained weights.
        git_sha: Commit of the code.
        circumstances: Digests of code and packages, and tags that describe the machine.
    """

    raw: SourceInfo
    split: SplitOptions
    recipe: str
    config: TrainConfig
    data_digest: str
    weights_digest: str
    git_sha: str
    circumstances: Mapping[str, str]

    @property
    def cores(self) -> str | None:
        """The number of cores that the training used; None where it is not recorded."""
        given = self.circumstances.get(f"{PREFIX}OMP_NUM_THREADS", "default")
        return self.circumstances.get(f"{PREFIX}cpus") if given == "default" else given

    @classmethod
    def of(cls, client: "MlflowClient", name: str, version: str, *, allow_unsigned: bool = False) -> Self:
        """Read the records that are kept with a version, or its tags where it has no records.

        Raises:
            PipelineError: The version must be signed but is not, or does not hold enough.
        """
        if lineage := verified_lineage(client, name, version, allow_unsigned=allow_unsigned):
            return cls.from_training(lineage.training)
        return cls.from_tags(client.get_model_version(name, version).tags, name, version)

    @classmethod
    def from_training(cls, training: Training) -> Self:
        """Take the data, the configuration and the outcome from the record of a training."""
        data = training.dataset
        return cls(
            raw=data.raw,
            split=data.split,
            recipe=training.recipe,
            config=_configuration(training.config),
            data_digest=data.digest,
            weights_digest=training.weights_digest,
            git_sha=training.provenance.get("git_sha", "unknown"),
            circumstances={**training.provenance, **training.environment},
        )

    @classmethod
    def from_tags(cls, tags: Mapping[str, str], name: str, version: str) -> Self:
        """Read the tags of a version that was registered before records were kept with versions.

        Raises:
            PipelineError: The tags do not hold enough, or one breaks its rule.
        """
        if missing := [tag for tag in NEEDED if tag not in tags]:
            raise PipelineError(
                f"a version must carry its lineage to be reproduced but lacks {', '.join(missing)}: "
                "register a new version."
            )
        # All that is needed is there.
        held: Any = version_tags(tags, name, version)
        return cls(
            raw=held.source(),
            split=SplitOptions(held.split_seed, held.stratify, held.fraction),
            recipe=held.recipe,
            config=_configuration(held.config),
            data_digest=held.data_digest,
            weights_digest=held.weights_digest,
            git_sha=held.git_sha,
            circumstances=tags,
        )


@dataclass(frozen=True)
class Reproduction:
    """Outcome of a reproduction.

    Attributes:
        recorded: Weights digest of the registered version.
        trained: Weights digest of the new training.
        differing: Circumstances that differ, as (recorded, now) by name.
    """

    recorded: str
    trained: str
    differing: dict[str, tuple[str, str]]

    @property
    def identical(self) -> bool:
        """Whether both trainings gave the same weights."""
        return self.recorded == self.trained

    def lines(self) -> Iterator[str]:
        """Yield the outcome as lines of text: the differences first, the verdict last."""
        for name, (recorded, now) in self.differing.items():
            yield f"differs: {name} was {recorded}, is {now}"
        if self.identical:
            yield f"identical: weights digest {self.trained}"
        else:
            yield f"not identical: weights digest was {self.recorded}, is {self.trained}"


def reproduce(
    recorded: Recorded, scratch: Path, target: Path | None, report_line: Callable[[str], None]
) -> Reproduction:
    """Fetch the version's raw data by digest, prepare it, and train with the recorded configuration.

    Args:
        recorded: The version's data, configuration and outcome.
        scratch: Empty directory for the data, and for the model where `target` is None.
        target: New directory for the model, or None.
        report_line: Called with each line of progress.

    Raises:
        PipelineError: The object store lacks the data, or this code prepares other data from it.
    """
    development = development_data(recorded, scratch)
    report_line(f"same data, digest {recorded.data_digest[:12]}; training with the recorded configuration")

    # Taken before TensorFlow starts, as in the recorded training, because its start sets more variables.
    differences = _differences(recorded.circumstances)
    # The number of cores decides how a batch is split, and so the weights.
    if (number := recorded.cores) and number != str(cores()):
        export({"OMP_NUM_THREADS": number})

    def on_epoch(epoch: Epoch) -> None:
        report_line(f"epoch {epoch.epoch}  loss {epoch.loss:.4f}  validation {epoch.val_accuracy:.4f}")

    training = fit_model(
        development,
        recorded.config,
        recipe=recorded.recipe,
        target=target or scratch / "model",
        on_epoch=on_epoch,
    )
    return Reproduction(recorded.weights_digest, training.weights_digest, differences)


def development_data(recorded: Recorded, scratch: Path) -> Path:
    """Fetch the version's raw data by digest, prepare it, and return the directory of training and validation.

    Args:
        recorded: The version's data.
        scratch: Empty directory for the data.

    Raises:
        PipelineError: The object store lacks the data, or this code prepares other data from it.
    """
    _fetch(recorded, scratch / "raw")
    split = recorded.split
    plan = DataPlan(split_seed=split.seed, stratify=split.stratify, fraction=split.fraction)
    development = scratch / "development"
    digest = prepare_splits(
        scratch / "raw", plan, development=development, test=scratch / "test"
    ).development.digest
    if digest != recorded.data_digest:
        raise PipelineError(
            f"the prepared data must have the digest {recorded.data_digest} but this code prepares {digest}: "
            f"check out commit {recorded.git_sha}."
        )
    return development


def _fetch(recorded: Recorded, raw: Path) -> None:
    store = ObjectStore.from_environment()
    if store is None:
        raise PipelineError(
            "the object store that the version was trained with must be set but is not: "
            "set S3_ENDPOINT_URL and S3_BUCKET."
        )
    spec = recorded.raw.spec
    parts = {part: raw_files(part, spec) for part in PARTS}
    held = [part for part, names in parts.items() if recorded.raw.files.keys() & set(names)]
    if not {"train", "test"} <= set(held) or len(recorded.raw.files) != 2 * len(held):
        raise PipelineError(
            "the raw data of a version must be images and labels of each part but its record names "
            f"{', '.join(sorted(recorded.raw.files)) or 'none'}: choose another version."
        )
    raw.mkdir()
    for name, digest in recorded.raw.files.items():
        if not store.get_content(digest, inside(raw, name)):
            raise PipelineError(
                f"the object store must hold {name} with sha256 {digest} but does not: restore the object."
            )
    # Tags do not hold the counts.
    counts = {part: len(open_part(raw, part, spec).labels) for part in held}
    recorded.raw.model_copy(update={"counts": counts}).save(raw)


def _configuration(recorded: Mapping[str, Any]) -> TrainConfig:
    try:
        return TrainConfig.model_validate(recorded)
    except ValidationError as error:
        first = error.errors()[0]
        raise PipelineError(
            f"the configuration of a version must be one of a training but {'.'.join(map(str, first['loc']))}: "
            f"{first['msg']}: check out the commit that it was trained with."
        ) from None


def _differences(recorded: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    now = {"code_digest": code_digest(), "lock_digest": lock_digest(), **compute_environment()}
    then = {name: recorded.get(name, "unknown") for name in now}
    return {name.removeprefix(PREFIX): (then[name], now[name]) for name in now if then[name] != now[name]}
