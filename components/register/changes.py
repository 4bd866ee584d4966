"""What has changed since the reigning champion was made: data, code or parameters."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.common.model.aliases import CHAMPION

if TYPE_CHECKING:
    from mlflow import MlflowClient

# From a version's tag to what people call it. `register` writes the tags.
IDENTITY = {
    "data_digest": "the data",
    "test_digest": "the test data",
    "code_digest": "the code",
    "parameters_digest": "the parameters",
}


@dataclass(frozen=True)
class Changes:
    """Since the champion `version`, None where there is no champion; nothing has changed where `changed` is empty."""

    version: str | None
    changed: tuple[str, ...]


def parameters_digest(parameters: Mapping[str, object]) -> str:
    """SHA-256 that names the parameters which shape a model."""
    return hashlib.sha256(json.dumps(parameters, sort_keys=True).encode()).hexdigest()


def changes_since_champion(client: "MlflowClient", name: str, identity: Mapping[str, str | None]) -> Changes:
    """Compare this run's tags with those of the champion of the registered model `name`.

    A tag that either side lacks counts as a change: what is not known to be the same is trained again.

    Raises:
        MlflowException: The registry does not answer.
    """
    from mlflow.exceptions import MlflowException

    try:
        version = client.get_model_version_by_alias(name, CHAMPION)
    except MlflowException as error:
        if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            return Changes(None, tuple(IDENTITY.values()))
        raise
    changed = [
        title
        for tag, title in IDENTITY.items()
        if not identity.get(tag) or version.tags.get(tag) != identity[tag]
    ]
    return Changes(str(version.version), tuple(changed))
