"""The `preprocess` step, tracked."""

from pathlib import Path

from components.common.plan.run import RunPlan
from components.common.tracking import tags
from components.common.tracking.step import step_run
from components.preprocess.prepare import SAMPLES_FILE, PreparedData, prepare_splits
from components.preprocess.validation import ValidationReport

STEP = "preprocess"


def preprocess_step(plan: RunPlan, raw: Path, *, development: Path, test: Path) -> PreparedData:
    """Split the data, check that the training can take it, and record in MLflow which data the run is on."""
    with step_run(plan.run_id, STEP) as run:
        prepared = prepare_splits(raw, plan.data, development=development, test=test)
        about, of_test = prepared.development, prepared.test
        plan.training.check_images(about.counts["train"])
        for tracked in (run, run.parent):
            tracked.log_dataset(about.name, about.digest, about.raw.source, "training")
            tracked.log_dataset(f"{about.name}-test", of_test.digest, about.raw.source, "testing")
        run.parent.set_tags({tags.DATA_DIGEST: about.digest, "test_digest": of_test.digest})
        split = about.split
        run.parent.set_tags(
            {"split_seed": split.seed, "stratify": split.stratify, "fraction": split.fraction}
        )
        counts = about.counts | of_test.counts
        run.log_metrics({f"images.{name}": count for name, count in counts.items()})
        run.log_file(development / ValidationReport.FILE)
        run.log_file(development / SAMPLES_FILE)
        return prepared
