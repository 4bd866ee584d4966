"""docker/compose.yaml: confined containers, users apart, and the store's identities of the cluster."""

import json
import re
from typing import Any

import yaml

from tests.infra.manifests import ROOT
from tests.infra.test_store_identities import identities

Document = dict[str, Any]


def compose() -> Document:
    loaded: Document = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())
    return loaded


def test_containers_are_confined_bounded_and_on_loopback() -> None:
    services = compose()["services"]
    assert set(services) == {"postgres", "seaweedfs", "bucket", "mlflow"}
    for name, service in services.items():
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert re.fullmatch(r"\d+[mg]", service["mem_limit"]), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        # The image of MLflow has a user of its own.
        assert service.get("user") not in {None, "0", "root"} or "mlflow" in service["image"], name


def test_the_databases_have_users_that_are_not_the_superuser() -> None:
    document = compose()
    postgres, mlflow = (document["services"][name]["environment"] for name in ("postgres", "mlflow"))
    assert "POSTGRES_USER" not in postgres
    (script,) = document["services"]["postgres"]["configs"]
    sql = (ROOT / "docker" / document["configs"][script["source"]]["file"]).read_text()
    for name in ("mlflow", "optuna"):
        variable = f"{name.upper()}_PASSWORD"
        assert rf"\getenv {name}_password {variable}" in sql
        assert postgres[variable] != postgres["POSTGRES_PASSWORD"]
    # A password within an address would have to be written in another way.
    assert "PASSWORD" not in mlflow["MLFLOW_BACKEND_STORE_URI"]
    assert postgres["MLFLOW_PASSWORD"].startswith(mlflow["PGPASSWORD"].removesuffix("}"))


def test_the_store_knows_the_identities_of_the_cluster() -> None:
    document = compose()
    filled = re.sub(r"\$\{\w+[^}]*\}", "secret", document["configs"]["identities"]["content"])
    given = {entry["name"]: set(entry["actions"]) for entry in json.loads(filled)["identities"]}
    declared = {name: set(actions) for name, actions in identities().items()}
    declared.pop("artifacts")  # of Kubeflow's bucket
    # One key does what a run, a served model and the monitor do.
    declared["steps"] |= declared.pop("monitor") | declared.pop("serve") | {"Read:mnist-pipeline"}
    assert given == declared
    users = {
        name: document["services"][name]["environment"]["AWS_ACCESS_KEY_ID"] for name in ("bucket", "mlflow")
    }
    assert users == {"bucket": "bucket", "mlflow": "mlflow"}
