"""Documents that are right, for fuzzing to change."""

from dataclasses import asdict
from functools import cache
from typing import Any

from benchmarks.reliability.fuzz_target import SPEC


def good_documents() -> dict[str, Any]:
    """Return a good document for each record, by the record's name."""
    spec = asdict(SPEC)
    raw = {
        "name": "a", "source": "file:///a", "version": "", "files": {"train-images-idx3-ubyte": "0" * 64},
        "counts": {"train": 1, "test": 1}, "batches": [], "digest": "0" * 64, "spec": spec, "form": "idx", "notes": [],
    }  # fmt: skip
    data = {
        "raw": raw, "split": {"seed": 1, "stratify": False, "fraction": 1.0}, "files": {"train_images.npy": "0" * 64},
        "counts": {"train": 1}, "class_counts": {"train": [1, 0]}, "digest": "0" * 64, "test_digest": "0" * 64,
        "format_version": 2,
    }  # fmt: skip
    epoch = dict.fromkeys(("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds"), 1.0)
    training = {
        "recipe": "fast", "seed": 0, "config": {"dropout": 0.1}, "parameters": 1, "validation_accuracy": 1.0,
        "validation_loss": 0.1, "history": [epoch], "seconds": 1.0, "images_per_second": 1.0,
        "weights_digest": "0" * 64, "dataset": data, "runtime": {}, "provenance": {}, "environment": {},
    }  # fmt: skip
    judgement = {
        "training": training, "test_digest": "0" * 64, "candidate": "tuned", "action": "register", "reasons": ["x"],
        "verdict": "first", "temperature": 1.0, "reject_below": 0.5, "champion_version": None, "summary": "x",
    }  # fmt: skip
    return {
        "SourceInfo": raw,
        "DatasetInfo": data,
        "Training": training,
        "Judgement": judgement,
        "RunPlan": good_plan(),
    }


@cache
def good_plan() -> dict[str, Any]:
    """Return the document of a plan."""
    from components.common.plan.run import RunPlan

    return RunPlan(run_id="1", run_name="one").model_dump(mode="json")
