"""Every manifest is one that the API servers of Kubernetes 1.33 and 1.36 know, to the last field."""

import copy
import json
import re
import subprocess

import kubernetes_validate
import pytest

from tests.infra.manifests import BIN, OVERLAYS, ROOT, Resource, leaves, name_of, overlay

VERSIONS = ("1.33", "1.36")
# Kubernetes' own pattern, but for the exponents that nobody writes.
QUANTITY = re.compile(r"(\d+(\.\d+)?|\.\d+)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")


def validate(resource: Resource, version: str) -> None:
    assert kubernetes_validate.validate(resource, version, strict=True) == version


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", OVERLAYS)
def test_manifests_follow_the_schema(name: str, version: str) -> None:
    resources = overlay(name)
    assert len({name_of(resource) for resource in resources}) == len(resources)
    for resource in resources:
        validate(resource, version)


def test_the_schema_is_strict() -> None:
    deployment = copy.deepcopy(next(r for r in overlay("kind") if r["kind"] == "Deployment"))
    deployment["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readinesProbe"):
        validate(deployment, "1.36")


@pytest.mark.parametrize("name", OVERLAYS)
def test_quantities_are_quantities(name: str) -> None:
    quantities = [
        (name_of(resource), path, value)
        for resource in overlay(name)
        for path, value in leaves(resource)
        if {"requests", "limits", "sizeLimit"} & set(path) and path[-1] != "type"
    ]
    assert len(quantities) > 5
    assert [found for found in quantities if not QUANTITY.fullmatch(str(found[2]))] == []


@pytest.mark.parametrize("text", ["512Mx", "1 Gi", "2gb", "", "-1", "100mi"])
def test_what_is_no_quantity(text: str) -> None:
    assert not QUANTITY.fullmatch(text)


def test_yaml_is_tidy() -> None:
    style = {
        "extends": "default",
        "rules": {
            "line-length": {"max": 120},
            "document-start": "disable",
            "comments": {"min-spaces-from-content": 1},
            "truthy": {"check-keys": False},
        },
    }
    command = [str(BIN / "yamllint"), "--strict", "--format=parsable", "--config-data", json.dumps(style)]
    checked = subprocess.run(
        [*command, "infra", ".github"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.stdout + checked.stderr == ""
