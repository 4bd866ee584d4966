"""Proxies, certificates and further variables of the steps, as the manifests and the page of operations give them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from requests.utils import should_bypass_proxies

from pipelines.environment import LOGIN, MOUNTED
from tests.infra.manifests import INFRA, Resource, kustomize, of_kind

ROOT = INFRA.parent
PAGE = (ROOT / "docs" / "operations.md").read_text()
SECTION = PAGE.partition("### Proxies, certificates and further variables")[2].partition("\n### ")[0]
ROW = re.compile(r"^\| ((?:`[A-Z_]+`(?:, )?)+) \|.*\| `([^`]+)` \|$", re.MULTILINE)
DOCUMENTED = {
    variable: example
    for names, example in ROW.findall(SECTION)
    for variable in re.findall("`([A-Z_]+)`", names)
}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Resource, ...]:
    """The steps' manifests with the component."""
    directory = tmp_path_factory.mktemp("overlay")
    relative = os.path.relpath(INFRA, directory)
    overlay = {
        "resources": [f"{relative}/base/steps"],
        "components": [f"{relative}/components/steps-environment"],
    }
    (directory / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    return kustomize(directory)


def _data(rendered: tuple[Resource, ...], name: str) -> dict[str, str]:
    (found,) = [c for c in of_kind(rendered, "ConfigMap") if c["metadata"]["name"] == name]
    assert found["metadata"]["namespace"] == "kubeflow"
    data: dict[str, str] = found["data"]
    return data


def test_each_documented_variable_arrives_in_a_step(rendered: tuple[Resource, ...], tmp_path: Path) -> None:
    config_map, secret = MOUNTED
    given = DOCUMENTED | _data(rendered, config_map)
    assert len(given) >= 9
    secrets = {name: f"the {name}" for name in LOGIN}
    for name, content in ((config_map, given), (secret, secrets)):
        (tmp_path / name).mkdir()
        for key, value in content.items():
            (tmp_path / name / key).write_text(value)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "STEP_ENVIRONMENT": ":".join(str(tmp_path / name) for name in MOUNTED),
    }
    script = "import components.common.settings, json, os; print(json.dumps(dict(os.environ)))"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert (given | secrets).items() <= json.loads(done.stdout).items()


def test_files_that_variables_name_are_where_they_are_mounted() -> None:
    named = [example for example in DOCUMENTED.values() if example.startswith("/")]
    assert {str(Path(path).parent) for path in named} == set(MOUNTED.values())


def test_the_cluster_itself_is_reached_without_the_proxy(rendered: tuple[Resource, ...]) -> None:
    settings = _data(rendered, "mnist-pipeline")
    addresses = [value for value in settings.values() if value.startswith("http")]
    assert len(addresses) == 2
    config_map, _ = MOUNTED
    for excepted in (_data(rendered, config_map)["NO_PROXY"], DOCUMENTED["NO_PROXY"]):
        for address in [*addresses, "https://10.96.0.1:443"]:
            assert should_bypass_proxies(address, excepted), address
        assert not should_bypass_proxies("https://example.com", excepted)


def test_the_steps_reach_the_proxy_and_nothing_else_by_it(rendered: tuple[Resource, ...]) -> None:
    config_map, _ = MOUNTED
    port = urlsplit(_data(rendered, config_map)["HTTPS_PROXY"]).port
    (policy,) = [p for p in of_kind(rendered, "NetworkPolicy") if p["metadata"]["name"] == "steps-to-proxy"]
    assert policy["spec"]["podSelector"]["matchExpressions"] == [
        {"key": "mnist-pipeline/step", "operator": "Exists"}
    ]
    (rule,) = policy["spec"]["egress"]
    assert rule["ports"] == [{"port": port}]
    assert [peer["ipBlock"]["cidr"].rpartition("/")[2] for peer in rule["to"]] == ["32"]
