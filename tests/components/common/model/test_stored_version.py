import errno
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from mlflow.exceptions import MlflowException

from components.common.errors import UnavailableError
from components.common.model.stored_version import fetch_version


@pytest.mark.parametrize(
    ("failure", "outage"),
    [
        ("{'model.keras': \"HTTPError('404 Client Error: NOT FOUND for url: ...')\"}", False),
        ("An error occurred (NoSuchKey) when calling the GetObject operation", False),
        (
            "{'model.keras': \"HTTPError('503 Server Error: SERVICE UNAVAILABLE for url: ...')\"}",
            True,
        ),
        ("{'model.keras': \"HTTPError('429 Client Error: TOO MANY REQUESTS')\"}", True),
        ("{'model.keras': \"ConnectionError('Connection aborted.')\"}", True),
    ],
)
def test_an_outage_of_the_store_behind_mlflow_is_no_problem_of_the_version(
    failure: str, outage: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        raise MlflowException(
            f"The following failures occurred while downloading one or more artifacts: {failure}"
        )

    monkeypatch.setattr("mlflow.artifacts.download_artifacts", fail)
    client: Any = Mock()
    client.get_model_version.return_value.tags = {}
    if outage:
        with pytest.raises(UnavailableError, match="MLflow must hand out m version 3 but does not"):
            fetch_version(client, "m", "3", tmp_path)
    else:
        assert (
            fetch_version(client, "m", "3", tmp_path).problems[0].startswith("its files cannot be fetched (")
        )


def test_a_full_disk_is_no_problem_of_the_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "mlflow.artifacts.download_artifacts", Mock(side_effect=OSError(errno.ENOSPC, "full"))
    )
    client: Any = Mock()
    client.get_model_version.return_value.tags = {}
    with pytest.raises(OSError, match="full"):
        fetch_version(client, "m", "3", tmp_path)
