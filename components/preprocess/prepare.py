"""Preparation of raw data as the splits that later steps read."""

from dataclasses import dataclass
from pathlib import Path

from components.common.data.dataset import DatasetInfo, SplitOptions, write_splits
from components.common.data.raw_data import read_part
from components.common.data.source import SourceInfo
from components.common.narration import say
from components.common.plan.run import DataPlan
from components.common.storage.files import written_directory
from components.preprocess.samples import draw_samples
from components.preprocess.split import split_development
from components.preprocess.validation import ValidationReport, validate

SAMPLES_FILE = "samples.png"


@dataclass(frozen=True)
class PreparedData:
    """Descriptions of both directories, and the findings on the data."""

    development: DatasetInfo
    test: DatasetInfo
    report: ValidationReport


def prepare_splits(raw: Path, plan: DataPlan, *, development: Path, test: Path) -> PreparedData:
    """Split the raw data, check it, and write `development` and `test`.

    Besides the training and the validation split, `development` gets the report and a figure of samples.

    Args:
        raw: Directory of raw data.
        plan: How to split it.
        development: New or empty directory for training and validation split.
        test: New or empty directory for the test split.

    Raises:
        PipelineError: The data cannot be split, or is not fit to train on.
    """
    source = SourceInfo.load(raw)
    train_part, test_part = read_part(raw, "train"), read_part(raw, "test")
    splits = split_development(train_part, plan.split_seed, stratify=plan.stratify, fraction=plan.fraction)
    tests = {"test": test_part}
    report = validate(splits | tests)
    for warning in report.warnings:
        say("preprocess", f"warning: {warning}")
    options = SplitOptions(plan.split_seed, plan.stratify, plan.fraction)
    test_info = write_splits(test, tests, raw=source, split=options)
    with written_directory(development) as directory:
        development_info = write_splits(
            directory, splits, raw=source, split=options, test_digest=test_info.digest
        )
        report.save(directory)
        draw_samples(train_part, directory / SAMPLES_FILE)
    counts = development_info.counts | test_info.counts
    say("preprocess", ", ".join(f"{count} {name}" for name, count in counts.items()))
    return PreparedData(development_info, test_info, report)
