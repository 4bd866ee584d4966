"""The plan of a run: one frozen document that every step is given."""

import hashlib
import json
import re
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field

from components.common.errors import PipelineError
from components.common.plan.names import (
    DatasetName,
    ExperimentName,
    Label,
    ModelName,
    default_model_name,
    for_new_runs,
)
from components.common.plan.section import WHOLE, Section
from components.common.plan.space import SEARCH_SPACE
from components.common.plan.training import RECIPES, TrainConfig
from components.common.record import Record
from components.common.storage.address import SCHEMES, VARIABLE, VARIABLES, grants_access, shown

# Far above what a run of weeks could do.
MOST_TRIALS, MOST_WORKERS, MOST_SEEDS, MOST_GPUS = 10_000, 256, 1000, 1024
LONGEST_ADDRESS = 4096
Seeds = Annotated[int, Field(ge=1, le=MOST_SEEDS), WHOLE]
# In `data.version` it becomes the time of the run. Kubeflow replaces it in parameters that are texts, but not within
# `options`.
CURRENT_TIME = "[[CurrentTime]]"
# Of the whole document; what it leaves out names the run, or says where it runs and how it is judged.
NOT_IN_DIGEST: dict[str, Any] = {
    "format": True,
    "run_id": True,
    "run_name": True,
    "gpu_count": True,
    "data": {"source", "name", "version", "sha256", "subset", "size", "transpose", "labelled_share"},
    "gate": True,
    "registry": True,
}


def _recipe(name: str) -> str:
    if name not in RECIPES:
        raise ValueError(f"must be one of {', '.join(RECIPES)} but is {name!r}")
    return name


Recipe = Annotated[str, AfterValidator(_recipe), Field(json_schema_extra={"enum": list(RECIPES)})]


def _source(source: str) -> str:
    scheme, is_uri, _ = source.partition("://")
    if not source or not source.isprintable() or (is_uri and scheme not in SCHEMES):
        raise ValueError(
            f"must be mnist, digits, a path or a URI of {', '.join(SCHEMES)} but is {shown(source)!r}"
        )
    if source.startswith(VARIABLE) and source.removeprefix(VARIABLE) not in VARIABLES:
        raise ValueError(f"must name {' or '.join(VARIABLES)} after {VARIABLE} but is {source!r}")
    if len(source) > LONGEST_ADDRESS:
        raise ValueError(f"must have at most {LONGEST_ADDRESS} characters but has {len(source)}")
    if grants_access(source):
        raise ValueError(
            f"must be without user, password and query, which everybody would see, but {shown(source)} has one: "
            f"put the address into {VARIABLES[0]}, on a cluster in the Secret mnist-pipeline-data, and give "
            f"{VARIABLE}{VARIABLES[0]}"
        )
    return source


def _sha256(digest: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise ValueError(f"must be the 64 hexadecimal digits of a SHA-256 but is {digest!r:.120}")
    return digest


class DataPlan(Section):
    """The data set, and its split into training and validation."""

    source: Annotated[str, for_new_runs(_source)] = Field(
        default="mnist",
        description='"mnist", "digits" (scikit-learn\'s), or the path or URI of other images: docs/your-data.md. '
        '"env:DATA_URI" is the address in that variable, which may hold a password or a signature.',
    )
    sha256: Annotated[str, for_new_runs(_sha256)] | None = Field(
        default=None, description="SHA-256 of the one file at the address; other content is refused."
    )
    name: DatasetName | None = Field(
        default=None,
        description="Name of other data; made of the last part of its address where it is not set.",
    )
    version: Label = Field(
        default="",
        description=f'Label for this state of the data; "{CURRENT_TIME}" becomes the time of the run.',
    )
    subset: Label | None = Field(
        default=None,
        description='Name of the set where several lie side by side, such as "emnist-letters".',
    )
    size: Annotated[int, Field(ge=4, le=1024), WHOLE] | None = Field(
        default=None,
        description="Height and width in pixels that images are resized to. Unless it is set, arrays keep their size, "
        "and pictures get their most common size, at most 64 a side.",
    )
    transpose: bool | None = Field(
        default=None,
        description="Whether rows and columns of every image are exchanged. Unless it is set, the data decides where "
        "it holds digits, and else the form: EMNIST's files are known to be turned.",
    )
    fraction: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = Field(
        default=1.0, description="Part of the training data to use."
    )
    labelled_share: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)] = Field(
        default=1.0,
        description="Most new images of labelled batches, as a share of the training part; a batch that exceeds it is "
        "left out.",
    )
    stratify: bool | None = Field(
        default=None,
        description="Keep each class's share in the validation split. Unless it is set, this is done where a class "
        "has fewer than 50 training images.",
    )
    split_seed: Annotated[int, Field(ge=0, le=2**32 - 1), WHOLE] = Field(
        default=23, description="Seed of the split into training and validation; the tutorial's is 23."
    )


class SearchPlan(Section):
    """The search for a better configuration."""

    trials: Annotated[int, Field(ge=1, le=MOST_TRIALS), WHOLE] = Field(
        default=6, description="Configurations to try, the baseline included."
    )
    workers: Annotated[int, Field(ge=1, le=MOST_WORKERS), WHOLE] = Field(
        default=1, description="Tasks that share the trials, one pod each; each uses all of its cores."
    )
    seeds: Seeds = Field(
        default=2, description="Trainings, each with another seed, of the best trial and the baseline."
    )
    space: dict[str, Any] = Field(
        default=SEARCH_SPACE,
        description="Training options and the values to try: docs/tuning.md has the form.",
    )


class GatePlan(Section):
    """Conditions for training and for registration."""

    min_accuracy: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = Field(
        default=None,
        description="Test accuracy below which nothing is registered; where it is not set, 0.95 for images of ten "
        "digits, and more than the share of the most frequent class for other data.",
    )
    promote: Literal["better", "as-accurate"] = Field(
        default="better",
        description="What takes the champion's place: a candidate that is better, or one that gets as many test images "
        "right.",
    )
    margin: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = Field(
        default=0.002, description="Difference of test accuracies up to which models count as equivalent."
    )
    skip_if_unchanged: bool = Field(
        default=False, description="End early where the champion was made of the same data, code and plan."
    )


class RegistryPlan(Section):
    """The model registry."""

    model: ModelName | None = Field(
        default=None, description='Registered model; the data set\'s name and "-cnn" where it is not set.'
    )
    allow_unsigned: bool = Field(
        default=False,
        description="Whether the champion may be without a signature by a trusted key: docs/operations.md.",
    )
    approval: Literal["none", "required"] = Field(
        default="none",
        description="Whether a version that passed the gate waits for `mnist-pipeline models approve` before it is "
        "champion.",
    )
    experiment: ExperimentName = Field(
        default="mnist-pipeline", description="MLflow experiment; created when it is missing."
    )


class RunPlan(Record):
    """All that decides a run; `components.common.plan.resolve` makes it.

    Attributes:
        run_id: Kubeflow's id of the pipeline run.
        run_name: Name of the run for people.
        gpu_count: GPUs that each training and search task asks for.
    """

    FILE: ClassVar[str] = "run.json"

    format: Literal[1] = 1
    run_id: str
    run_name: str
    gpu_count: Annotated[int, Field(ge=0, le=MOST_GPUS), WHOLE] = 0
    recipe: Recipe = Field(default="fast", description="Named configuration that `training` starts from.")
    seeds: Seeds = Field(
        default=1,
        description="Trainings of the chosen configuration, each with another seed; the first is the model.",
    )
    data: DataPlan = DataPlan()
    training: TrainConfig = RECIPES["fast"]
    search: SearchPlan = SearchPlan()
    gate: GatePlan = GatePlan()
    registry: RegistryPlan = RegistryPlan()

    def digest(self) -> str:
        """Return the SHA-256 that names what shapes a model; an option that is added counts by itself."""
        shaping = self.model_dump(mode="json", exclude=NOT_IN_DIGEST)
        return hashlib.sha256(json.dumps(shaping, sort_keys=True).encode()).hexdigest()

    def named(self, dataset: str, version: str) -> Self:
        """Return the plan with what the data decides: the data set's name and version, the registered model's name."""
        model = self.registry.model or default_model_name(dataset)
        return self.model_copy(
            update={
                "data": self.data.model_copy(update={"name": dataset, "version": version}),
                "registry": self.registry.model_copy(update={"model": model}),
            }
        )

    @property
    def model_name(self) -> str:
        """The registered model's name.

        Raises:
            PipelineError: The data is not known yet.
        """
        if self.registry.model is None:
            raise PipelineError(
                "registry.model must be known but is not set: the first task of a run sets it."
            )
        return self.registry.model
