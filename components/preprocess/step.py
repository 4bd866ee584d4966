"""The `preprocess` step, tracked."""

from pathlib import Path

from components.common.tracking.run import step_run
from components.preprocess.prepare import (
    REPORT_FILE,
    SAMPLES_FILE,
    PreprocessConfig,
    PreprocessResult,
    preprocess,
)

STEP = "preprocess"


def preprocess_step(
    raw: Path,
    pipeline_run_id: str,
    split_seed: int,
    stratify: bool,
    fraction: float,
    development: Path,
    test: Path,
) -> PreprocessResult:
    """Split the data, and tell MLflow which data this run is on."""
    with step_run(pipeline_run_id, STEP) as run:
        result = preprocess(raw, PreprocessConfig(split_seed, stratify, fraction), development, test)
        about = result.development
        for tracked in (run, run.parent):
            tracked.log_dataset(about.name, about.digest, about.source, "training")
            tracked.log_dataset(f"{about.name}-test", result.test.digest, about.source, "testing")
        run.parent.set_tags({"data_digest": about.digest, "test_digest": result.test.digest})
        run.parent.set_tags({"split_seed": split_seed, "stratify": stratify, "fraction": fraction})
        counts = about.counts | result.test.counts
        run.log_metrics({f"images.{split}": count for split, count in counts.items()})
        run.log_file(development / REPORT_FILE)
        run.log_file(development / SAMPLES_FILE)
        return result
