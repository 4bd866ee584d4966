"""Changes since the reigning champion was made: of data, code or plan."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.common.data.info import DatasetInfo
from components.common.model.aliases import CHAMPION
from components.common.model.stored_version import verified_lineage
from components.common.plan.run import RunPlan
from components.common.provenance import code_digest
from components.common.tracking.client import find_registered_model

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class Changes:
    """Since the champion `version`, None where there is no champion; nothing has changed where `changed` is empty."""

    version: str | None
    changed: tuple[str, ...]


def changes_since_champion(client: "MlflowClient", plan: RunPlan, data: DatasetInfo) -> Changes:
    """Compare this run with the records kept with the champion of its registered model.

    Raises:
        MlflowException: The registry does not answer.
        PipelineError: The champion must be signed but is not, or its records are damaged.
    """
    name = plan.model_name
    model = find_registered_model(client, name)
    if model is None or CHAMPION not in model.aliases:
        return Changes(None, ())
    version = str(model.aliases[CHAMPION])
    made_of = verified_lineage(client, name, version, allow_unsigned=plan.registry.allow_unsigned)
    if made_of is None:
        return Changes(version, ("its records, which it was registered without",))
    training = made_of.training
    pairs = {
        "the data": (training.dataset.digest, data.digest),
        "the test data": (training.dataset.test_digest, data.test_digest),
        "the code": (training.provenance.get("code_digest"), code_digest()),
        "the plan": (made_of.plan.digest(), plan.digest()),
    }
    return Changes(version, tuple(title for title, (then, now) in pairs.items() if then != now))
