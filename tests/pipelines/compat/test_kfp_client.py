import inspect
import warnings
from collections.abc import Iterator
from pathlib import Path

import kfp
import kfp_server_api
import pytest

from pipelines.compat.kfp_client import api_client_of
from tests.pipelines.cluster.kubeflow import Kubeflow, serving


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[kfp.Client]:
    monkeypatch.setattr("kfp.Client._LOCAL_KFP_CONTEXT", str(tmp_path / "context.json"))
    with serving(Kubeflow()) as host, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield kfp.Client(host=host, namespace="kubeflow")


def test_kfps_client_has_no_parameter_for_timeouts_or_retries() -> None:
    names = " ".join(inspect.signature(kfp.Client).parameters)
    assert "timeout" not in names
    assert "retr" not in names


def test_kfps_client_has_no_public_way_to_its_transport(client: kfp.Client) -> None:
    found = [name for name, value in vars(client).items() if isinstance(value, kfp_server_api.ApiClient)]
    assert [name for name in found if not name.startswith("_")] == []


def test_one_transport_serves_all_of_the_client(client: kfp.Client) -> None:
    shared = api_client_of(client)
    assert isinstance(shared, kfp_server_api.ApiClient)
    services = (client._recurring_run_api, client._experiment_api, client._pipelines_api, client._upload_api)
    assert all(service.api_client is shared for service in services)
    assert client.pipelines.pipeline_service_create_pipeline.__self__.api_client is shared
    assert shared.configuration is client._existing_config


def test_the_generated_client_has_no_method_for_logs() -> None:
    assert [name for name in dir(kfp_server_api.RunServiceApi) if "log" in name] == []
