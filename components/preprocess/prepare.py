"""Turn raw data into the splits that later steps read."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from components.common.data.dataset import DatasetInfo, write_splits
from components.common.data.raw_data import read_part, read_source
from components.common.errors import PipelineError
from components.common.narration import say
from components.common.storage.files import written_directory
from components.preprocess.samples import draw_samples
from components.preprocess.split import split_development
from components.preprocess.validation import ValidationReport, validate

REPORT_FILE = "validation_report.json"
SAMPLES_FILE = "samples.png"
LARGEST_SEED = 2**32 - 1


@dataclass(frozen=True)
class PreprocessConfig:
    """How to split.

    Attributes:
        split_seed: Seed of the split; the tutorial's is 23.
        stratify: Keep each class's share equal in training and validation.
        fraction: Share of the training part to use, above 0 and up to 1. The test part is always whole.
    """

    split_seed: int = 23
    stratify: bool = False
    fraction: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.split_seed <= LARGEST_SEED:
            raise PipelineError(f"split_seed must be 0 to {LARGEST_SEED} but is {self.split_seed}")
        if not 0 < self.fraction <= 1:
            raise PipelineError(f"fraction must be above 0 and at most 1 but is {self.fraction}")


@dataclass(frozen=True)
class PreprocessResult:
    development: DatasetInfo
    test: DatasetInfo
    report: ValidationReport


def preprocess(raw: Path, config: PreprocessConfig, development: Path, test: Path) -> PreprocessResult:
    """Split the raw data, check it, and write `development` and `test`, both new or empty directories.

    Besides the training and the validation split, `development` gets the report and a figure of samples.

    Raises:
        PipelineError: The data cannot be split, or is not fit to train on.
    """
    source = read_source(raw)
    train_part, test_part = read_part(raw, "train"), read_part(raw, "test")
    splits = split_development(
        train_part, config.split_seed, stratify=config.stratify, fraction=config.fraction
    )
    tests = {"test": test_part}
    report = validate(splits | tests)
    for warning in report.warnings:
        say("preprocess", f"warning: {warning}")
    about = {"name": source.name, "source": source.source, "version": source.version}
    with written_directory(development) as directory:
        development_info = write_splits(directory, splits, **about, split_seed=config.split_seed)
        (directory / REPORT_FILE).write_text(json.dumps(asdict(report), indent=2) + "\n")
        draw_samples(train_part, directory / SAMPLES_FILE)
    test_info = write_splits(test, tests, **about, split_seed=config.split_seed)
    counts = development_info.counts | test_info.counts
    say("preprocess", ", ".join(f"{count} {name}" for name, count in counts.items()))
    return PreprocessResult(development_info, test_info, report)
