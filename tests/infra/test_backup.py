"""The nightly dump of the databases: its manifests, and its script against a real PostgreSQL."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.infra.manifests import INFRA, Resource, containers_of, kustomize, of_kind
from tests.infra.test_network_policies import POSTGRES, STRANGER, allowed, ours
from tests.infra.test_schemas import validate
from tests.infra.test_security import IMAGE, violations


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Resource, ...]:
    directory = tmp_path_factory.mktemp("backup")
    content = "".join(
        f"{kind}:\n  - {os.path.relpath(INFRA / path, directory)}\n"
        for kind, path in (("resources", "overlays/kind"), ("components", "components/backup"))
    )
    (directory / "kustomization.yaml").write_text(content)
    return kustomize(directory)


def pod_of_the_job(rendered: tuple[Resource, ...]) -> Resource:
    (job,) = of_kind(rendered, "CronJob")
    pod: Resource = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return pod


def test_it_is_restricted_and_reaches_the_database_alone(rendered: tuple[Resource, ...]) -> None:
    for resource in of_kind(rendered, "CronJob", "PersistentVolumeClaim", "NetworkPolicy"):
        validate(resource, "1.36")
    pod = pod_of_the_job(rendered)
    assert violations(pod) == []
    (container,) = containers_of(pod)
    assert IMAGE.fullmatch(container["image"])
    policies = of_kind(rendered, "NetworkPolicy")
    assert allowed(policies, "Egress", ours("backup"), POSTGRES, 5432)
    assert allowed(policies, "Ingress", POSTGRES, ours("backup"), 5432)
    assert not allowed(policies, "Egress", ours("backup"), STRANGER, 443)


def test_it_keeps_the_last_14_dumps(
    rendered: tuple[Resource, ...], postgres: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    (container,) = containers_of(pod_of_the_job(rendered))
    shell, option, script = container["command"]
    where = urlsplit(postgres)
    environment = os.environ | {
        "PGHOST": str(where.hostname),
        "PGPORT": str(where.port),
        "PGUSER": str(where.username),
        "PGPASSWORD": where.password or "",
    }

    def call(*command: str) -> None:
        subprocess.run(command, env=environment, check=True, capture_output=True)

    for name in ("mlflow", "optuna"):
        call("psql", "--dbname=postgres", f"--command=CREATE DATABASE {name}")
        for day in range(10, 30):
            (tmp_path / f"{name}-202001{day}T021700Z.dump").touch()
        request.addfinalizer(_later(call, "psql", "--dbname=postgres", f"--command=DROP DATABASE {name}"))
    call(shell, option, script.replace("/backup", str(tmp_path)))
    for name in ("mlflow", "optuna"):
        dumps = sorted(tmp_path.glob(f"{name}-*.dump"))
        assert len(dumps) == 14
        assert dumps[0].name == f"{name}-20200117T021700Z.dump"
        call("pg_restore", "--list", str(dumps[-1]))
    assert not list(tmp_path.glob("*.partial"))


def _later(call: Callable[..., None], *command: str) -> Callable[[], None]:
    return lambda: call(*command)
