from pathlib import Path

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


def test_files_that_were_not_handed_out_are_named(tmp_path: Path) -> None:
    from mlflow.entities import FileInfo
    from mlflow.exceptions import MlflowException
    from mlflow.store.artifact.artifact_repo import ArtifactRepository

    class Store(ArtifactRepository):  # type: ignore[misc]
        """An MLflow server whose store lost files: the client's own code asks for each and tells of them."""

        names: tuple[str, ...]

        def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
            return [] if path else [FileInfo(name, False, 1) for name in self.names]

        def _download_file(self, *_: object, **__: object) -> None:
            raise MlflowException("API request failed with exception: too many 500 error responses")

        def log_artifact(self, *_: object) -> None: ...

        def log_artifacts(self, *_: object) -> None: ...

    store = Store("s3://any")
    for names, said in {("model.sig",): "model.sig", tuple("edcba"): "a, b, c and 2 more"}.items():
        store.names = names
        with pytest.raises(MlflowException) as caught:
            store.download_artifacts("", str(tmp_path))
        assert reason(caught.value).startswith(f"not {said}: it answered each try with status 500")
