"""Lineage of a registered version: the records of its run, kept with it, and the tags that show them to people."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from components.common.model.judgement import Judgement
from components.common.model.training_record import Training
from components.common.plan.run import RunPlan
from components.common.provenance import PREFIX

# Directory of the records among the files of a version.
LINEAGE = "lineage"


@dataclass(frozen=True)
class Lineage:
    """The plan of a run, and the judgement on its model, which holds the records of training and data."""

    plan: RunPlan
    judgement: Judgement

    @property
    def training(self) -> Training:
        """The record of the model's training."""
        return self.judgement.training

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read the records from one directory.

        Raises:
            PipelineError: One is missing, or breaks a rule.
        """
        return cls(RunPlan.load(directory), Judgement.load(directory))

    def save(self, directory: Path) -> None:
        """Write the records into a new directory."""
        directory.mkdir()
        for record in (self.plan, self.judgement):
            record.save(directory)

    def tags(self) -> dict[str, str]:
        """Return what people look for in the registry; no step reads it."""
        return {**judgement_tags(self.judgement), "plan_digest": self.plan.digest()}


def judgement_tags(judgement: Judgement) -> dict[str, str]:
    """Return those of a lineage's tags that its judgement alone decides."""
    training, data = judgement.training, judgement.training.dataset
    tags = {
        **training.provenance,
        "recipe": training.recipe,
        "seed": str(training.seed),
        "config": json.dumps(training.config),
        "dataset": data.name,
        "data_source": data.raw.source,
        "data_version": data.raw.version,
        "data_digest": data.digest,
        "test_digest": judgement.test_digest,
        "raw_digest": data.raw.digest,
        "raw_files": json.dumps(data.raw.files),
        "split_seed": str(data.split.seed),
        "stratify": str(data.split.stratify),
        "fraction": str(data.split.fraction),
        "weights_digest": training.weights_digest,
        "verdict": judgement.verdict,
        "temperature": str(judgement.temperature),
        "reject_below": str(judgement.reject_below),
        **training.environment,
        **{f"{PREFIX}{name}": value for name, value in training.runtime.items()},
    }
    return {name: value for name, value in tags.items() if value}


def stored_judgement(directory: Path) -> Judgement | None:
    """Return the judgement kept with a version whose files lie in `directory`; None where no records were kept.

    Raises:
        PipelineError: The record breaks a rule.
    """
    records = directory / LINEAGE
    return Judgement.load(records) if (records / Judgement.FILE).exists() else None
