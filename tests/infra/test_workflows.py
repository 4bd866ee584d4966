"""The workflows: actions that cannot change, least permissions, and no credentials left in a checkout."""

import re
from typing import Any

import pytest
import yaml

from tests.infra.manifests import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yaml"))
PINNED = re.compile(r"uses: [\w.\-]+/[\w.\-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+")


@pytest.mark.parametrize("name", [path.name for path in WORKFLOWS])
def test_a_workflow_is_pinned_and_has_few_rights(name: str) -> None:
    text = (ROOT / ".github" / "workflows" / name).read_text()
    used = [line.strip(" -") for line in text.splitlines() if "uses:" in line]
    assert [line for line in used if not PINNED.fullmatch(line)] == []
    workflow: dict[str, Any] = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    checkouts = [step for step in steps if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"] == {"persist-credentials": False} for step in checkouts)
    # What a caller chooses comes by variables; in a script's text it would be run.
    assert not any("${{" in step.get("run", "").replace("${{ matrix.target }}", "") for step in steps)


def test_the_release_alone_may_sign() -> None:
    rights = {
        path.name: job["permissions"]
        for path in WORKFLOWS
        for job in yaml.safe_load(path.read_text())["jobs"].values()
        if "permissions" in job
    }
    assert rights == {"release.yaml": {"contents": "read", "id-token": "write", "attestations": "write"}}
