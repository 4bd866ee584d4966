"""Pods of steps, made of a compiled package as Kubeflow's driver and Argo make them.

The rules are those of the source of 2.17.0: backend/src/v2/driver/k8s.go and driver.go, and
backend/src/v2/compiler/argocompiler/container.go. Commands, and volumes of Kubeflow's own, are left out.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.infra.manifests import INFRA, Resource

LAUNCHER = {"limits": {"memory": "256Mi", "cpu": "0.5"}, "requests": {"cpu": "0.1"}}
DRIVER = {"limits": {"memory": "0.5Gi", "cpu": "0.5"}, "requests": {"memory": "64Mi", "cpu": "0.1"}}
# Variables that the driver gives a step by value, of Kubeflow's own proxy.
PROXIES = {name for proxy in ("http_proxy", "https_proxy", "no_proxy") for name in (proxy, proxy.upper())}


def step_pods(package: Path, parameters: Resource) -> dict[str, Resource]:
    """Return the pod of each executor; of parameters, those that place a pod."""
    spec, platform = yaml.safe_load_all(package.read_text())
    configs = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return {
        name: _pod(name, executor["container"], configs[name], parameters)
        for name, executor in spec["deploymentSpec"]["executors"].items()
    }


def pod_of_driver() -> Resource:
    """Return the pod that comes before that of each step, and before each part of the pipeline."""
    return {"spec": {"containers": [{"name": "main", "resources": DRIVER}, *_of_argo("wait")]}}


def _of_argo(name: str) -> list[Resource]:
    manifest = (INFRA / "kubeflow" / "standalone" / "workflow-controller.yaml").read_text()
    controller = next(yaml.safe_load_all(manifest))
    resources = yaml.safe_load(controller["data"]["executor"])["resources"]
    return [{"name": name, "image": "argo", "resources": resources}]


def _pod(name: str, container: Resource, config: Resource, parameters: Resource) -> Resource:
    volumes = list(_volumes(config))
    main = {
        "name": "main",
        "image": container["image"],
        "env": [*container["env"], *_references(config)],
        "volumeMounts": [mount for _, mount in volumes],
        "resources": _resources(container["resources"]),
        "securityContext": {key: _number(value) for key, value in config["securityContext"].items()},
    }
    launcher = {"name": "kfp-launcher", "image": "launcher", "resources": LAUNCHER}
    placed: Resource = {}
    if "nodeSelector" in config:
        placed = {
            "nodeSelector": parameters["node_selector"],
            "affinity": {"nodeAffinity": parameters["node_affinity"]},
            "tolerations": parameters["tolerations"],
        }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": config["podMetadata"]["labels"]},
        "spec": {
            "initContainers": [*_of_argo("init"), launcher],
            "containers": [main, *_of_argo("wait")],
            "volumes": [volume for volume, _ in volumes],
            "activeDeadlineSeconds": _number(config["activeDeadlineSeconds"]),
            "imagePullSecrets": [{"name": s["secretName"]} for s in config.get("imagePullSecret", [])],
            **placed,
        },
    }


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, str) else value


def _references(config: Resource) -> Iterator[Resource]:
    for kind in ("secret", "configMap"):
        for source in config.get(f"{kind}AsEnv", []):
            for entry in source["keyToEnv"]:
                reference = {"key": entry[f"{kind}Key"], "optional": source["optional"]}
                reference["name"] = source[f"{kind}NameParameter"]["runtimeValue"]["constant"]
                yield {"name": entry["envVar"], "valueFrom": {f"{kind}KeyRef": reference}}


def _volumes(config: Resource) -> Iterator[tuple[Resource, Resource]]:
    """Yield each volume with its mount; those of ConfigMaps and Secrets have the names of their sources."""
    for kind, key in (("secret", "secretName"), ("configMap", "name")):
        for source in config.get(f"{kind}AsVolume", []):
            name = source[f"{kind}NameParameter"]["runtimeValue"]["constant"]
            volume = {"name": name, kind: {key: name, "optional": source["optional"]}}
            yield volume, {"name": name, "mountPath": source["mountPath"]}
    for empty in config.get("emptyDirMounts", []):
        mount = {"name": empty["volumeName"], "mountPath": empty["mountPath"]}
        yield {"name": empty["volumeName"], "emptyDir": {"medium": empty["medium"]}}, mount


def _resources(stated: Resource) -> dict[str, dict[str, str]]:
    return {
        part: {
            kind: stated[key]
            for kind in ("cpu", "memory")
            if (key := f"resource{kind.title()}{part.title().removesuffix('s')}") in stated
        }
        for part in ("requests", "limits")
    }
