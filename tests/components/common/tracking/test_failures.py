import pytest

from components.common.errors import UnavailableError
from components.common.tracking.client import mlflow_must_answer
from components.common.tracking.failures import reason
from tests.receivers import Webhook


def test_a_server_whose_store_is_away_is_told_as_such(webhook: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    Webhook.statuses.extend([500] * 2)
    said = r"it answered each try with status 500, as where its store or database is away: start that server"
    with pytest.raises(UnavailableError, match=said), mlflow_must_answer():
        MlflowClient(webhook).create_registered_model("any")


def test_a_password_in_the_address_of_a_store_is_not_told() -> None:
    from botocore.exceptions import EndpointConnectionError

    error = EndpointConnectionError(endpoint_url="http://alice:c4nary@store:9000/bucket/key")
    assert reason(error) == 'Could not connect to the endpoint URL: "http://store:9000/bucket/key"'
