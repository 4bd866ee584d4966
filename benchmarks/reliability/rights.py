"""`python -m benchmarks.reliability.rights PROGRAMS`: rights of accounts and a quota, on a real API server."""

import argparse
import copy
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from benchmarks.reliability.kubernetes import Answer, ApiServer, api_server
from benchmarks.reliability.record import write_record
from pipelines.compile import compile_pipeline
from pipelines.parameters import pod_settings
from tests.infra.manifests import INFRA, Resource, kustomize, of_kind, overlay
from tests.infra.step_pods import step_pods

EXPLANATION = (
    "An API server of Kubernetes {version} with etcd and its controllers, to which the accounts, roles and bindings of "
    "`infra/overlays/kind` and `infra/kserve/follow` were applied. Each request was sent with a token of the account, "
    "as its pods get it. There was no node: no pod ran, and NetworkPolicies, which a node enforces, were not tried. "
    "The quota is that of `infra/components/quota`; its pods are those of a run, as Kubeflow's driver makes them."
)
STEPS, FOLLOW = ("kubeflow", "mnist-pipeline"), ("kubeflow", "mnist-model-follow")
WITHOUT_ROLES = tuple(("mlflow", name) for name in ("mlflow", "postgres", "bucket"))
TEAM, IMAGE = "team-vision", f"registry.example/image@sha256:{'0' * 64}"
CORE, RESULTS, SERVICES = "/api/v1", "/apis/argoproj.io/v1alpha1", "/apis/serving.kserve.io/v1beta1"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
KUBEFLOW = "/namespaces/kubeflow"
POD: Resource = {
    "metadata": {"generateName": "any-"},
    "spec": {"containers": [{"name": "main", "image": "any"}]},
}
RESULT: Resource = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "WorkflowTaskResult",
    "metadata": {"name": "ended"},
}
SERVICE: Resource = {"metadata": {"annotations": {"any": "value"}}}

COUNTED = GRANTED, DENIED = "granted of what it needs", "denied of the rest"
# What each account needs: method, path and body.
Request = tuple[str, str, Resource | None]
NEEDED: dict[tuple[str, str], tuple[Request, ...]] = {
    STEPS: (
        ("GET", f"{CORE}{KUBEFLOW}/pods/own", None),
        ("GET", f"{CORE}{KUBEFLOW}/configmaps/kfp-launcher", None),
        ("GET", f"{CORE}{KUBEFLOW}/secrets/mnist-pipeline-artifacts", None),
        ("POST", f"{RESULTS}{KUBEFLOW}/workflowtaskresults", RESULT),
        ("PATCH", f"{RESULTS}{KUBEFLOW}/workflowtaskresults/ended", SERVICE),
    ),
    FOLLOW: (
        ("GET", f"{SERVICES}{KUBEFLOW}/inferenceservices/mnist", None),
        ("PATCH", f"{SERVICES}{KUBEFLOW}/inferenceservices/mnist", SERVICE),
    ),
    **dict.fromkeys(WITHOUT_ROLES, ()),
}
# What none needs, and somebody with a stolen token would try.
TRIED: tuple[Request, ...] = (
    ("GET", f"{CORE}{KUBEFLOW}/secrets", None),
    ("GET", f"{CORE}{KUBEFLOW}/secrets/other", None),
    ("GET", f"{CORE}/namespaces/mlflow/secrets", None),
    ("GET", f"{CORE}/secrets", None),
    ("GET", f"{CORE}{KUBEFLOW}/configmaps/other", None),
    ("PATCH", f"{CORE}{KUBEFLOW}/configmaps/kfp-launcher", SERVICE),
    ("PATCH", f"{CORE}{KUBEFLOW}/secrets/mnist-pipeline-artifacts", SERVICE),
    ("GET", f"{CORE}{KUBEFLOW}/pods", None),
    ("POST", f"{CORE}{KUBEFLOW}/pods", POD),
    ("DELETE", f"{CORE}{KUBEFLOW}/pods/own", None),
    ("PATCH", f"{CORE}{KUBEFLOW}/pods/own", SERVICE),
    ("POST", f"{CORE}{KUBEFLOW}/pods/own/exec?command=id&stdout=true", None),
    ("GET", f"{CORE}{KUBEFLOW}/pods/own/log", None),
    ("GET", f"{CORE}/nodes", None),
    ("GET", f"{CORE}/namespaces", None),
    ("GET", f"{RESULTS}{KUBEFLOW}/workflowtaskresults", None),
    ("GET", f"{RESULTS}{KUBEFLOW}/workflows", None),
    ("PATCH", f"{RESULTS}{KUBEFLOW}/workflows/any", SERVICE),
    ("GET", f"{SERVICES}{KUBEFLOW}/inferenceservices", None),
    ("PATCH", f"{SERVICES}{KUBEFLOW}/inferenceservices/other", SERVICE),
    ("DELETE", f"{SERVICES}{KUBEFLOW}/inferenceservices/mnist", None),
    ("POST", f"{CORE}{KUBEFLOW}/serviceaccounts/pipeline-runner/token", {"spec": {}}),
    ("POST", f"{RBAC}{KUBEFLOW}/rolebindings", {"metadata": {"name": "more"}}),
    ("PATCH", f"{RBAC}{KUBEFLOW}/roles/mnist-pipeline", SERVICE),
)


def made(server: ApiServer, resource: Resource) -> Answer:
    """Make an object at the path of its kind."""
    group, kind = resource["apiVersion"], resource["kind"].lower()
    base = f"/apis/{group}" if "/" in group else f"/api/{group}"
    namespace = resource["metadata"].get("namespace")
    where = f"/namespaces/{namespace}" if namespace else ""
    return server.ask("POST", f"{base}{where}/{kind}s", resource)


def _is_taken(server: ApiServer, resource: Resource) -> bool:
    return made(server, resource).status in {201, 409}


def _is_there(server: ApiServer, path: str) -> bool:
    return server.ask("GET", path).status == 200


def must_make(server: ApiServer, resource: Resource) -> None:
    """Make an object; one that is there stays.

    Raises:
        RuntimeError: The API server refused it.
    """
    answer = made(server, resource)
    if answer.status not in {201, 409}:
        raise RuntimeError(f"{resource['kind']} must be taken but is not: {answer.body.get('message')}")


def definition(group: str, version: str, kind: str) -> Resource:
    """Return the definition of a kind of Argo's or KServe's, with any content."""
    plural = f"{kind.lower()}s"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    shown = {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [shown],
        },
    }


def set_up(server: ApiServer) -> None:
    """Make the namespaces, accounts and roles, and the objects that are asked for."""
    for name in ("kubeflow", "mlflow", TEAM):
        must_make(server, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    for group, version, kind in (
        ("argoproj.io", "v1alpha1", "WorkflowTaskResult"),
        ("argoproj.io", "v1alpha1", "Workflow"),
        ("serving.kserve.io", "v1beta1", "InferenceService"),
    ):
        must_make(server, definition(group, version, kind))
        path = f"/apis/{group}/{version}{KUBEFLOW}/{kind.lower()}s"
        server.wait_for(f"the kind {kind}", partial(_is_there, server, path))
    applied = (*overlay("kind"), *kustomize(INFRA / "kserve" / "follow"))
    for resource in of_kind(applied, "ServiceAccount", "Role", "RoleBinding"):
        must_make(server, resource)
    service = {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService"}
    objects: list[Resource] = [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "own"}, "spec": POD["spec"]},
        *(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
            for name in ("kfp-launcher", "other")
        ),
        *(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}
            for name in ("mnist-pipeline-artifacts", "other")
        ),
        *({**service, "metadata": {"name": name}} for name in ("mnist", "other")),
    ]
    for one in objects:
        one["metadata"]["namespace"] = "kubeflow"
        if one["kind"] == "Pod":
            server.wait_for("the account default", partial(_is_taken, server, one))
        else:
            must_make(server, one)


def rights(server: ApiServer) -> Iterator[dict[str, Any]]:
    """Yield a row for each account: how many requests that it needs were granted, and of the others denied."""
    for (namespace, account), needed in NEEDED.items():
        token = server.token(namespace, account)
        granted = [not server.ask(*request, token=token).denied for request in needed]
        paths = {(method, path) for method, path, _ in needed}
        tried = [request for request in TRIED if request[:2] not in paths]
        passed = [request[:2] for request in tried if not server.ask(*request, token=token).denied]
        yield {
            "account": f"{account} of {namespace}",
            GRANTED: f"{sum(granted)} of {len(needed)}",
            DENIED: f"{len(tried) - len(passed)} of {len(tried)}",
            "remark": "; ".join(f"NOT denied: {method} {path}" for method, path in passed),
        }


def quota(server: ApiServer, work: Path) -> Iterator[tuple[str, bool]]:
    """Make the pods of a run in a namespace with a quota; yield what should be, and whether it is."""
    infra = os.path.relpath(INFRA, work)
    overlaid = {
        "namespace": TEAM,
        "resources": [f"{infra}/base/steps"],
        "components": [f"{infra}/components/quota"],
    }
    (work / "kustomization.yaml").write_text(yaml.safe_dump(overlaid))
    applied = kustomize(work)
    for resource in of_kind(applied, "ServiceAccount", "ResourceQuota", "LimitRange"):
        must_make(server, resource)
    path = f"{CORE}/namespaces/{TEAM}/resourcequotas/runs"
    server.wait_for("a counted quota", lambda: "hard" in server.ask("GET", path).body.get("status", {}))
    bound = _pods(work, "cpu_limit=2", "memory_limit=4Gi")
    # The first may come before the account's own secret.
    server.wait_for("taken a first pod", partial(_is_taken, server, bound[0]))
    taken = [made(server, pod) for pod in bound[1:]]
    yield (
        f"with limits, all {len(bound)} pods of a run are taken",
        all(answer.status == 201 for answer in taken),
    )
    unbound = [made(server, _named(pod, "unbound")) for pod in _pods(work)]
    # The quota takes some of the others no more.
    refused = [answer.body["message"] for answer in unbound if answer.status == 422]
    yield (
        "without limits, pods that ask for more than the default are refused with the field",
        bool(refused)
        and all(
            "requests: Invalid value" in message and "must be less than or equal to" in message
            for message in refused
        ),
    )
    more = [made(server, _named(pod, f"more-{number}")) for number in range(30) for pod in bound]
    over = [answer for answer in more if answer.status != 201]
    yield (
        "pods beyond the quota are refused with its name",
        bool(over)
        and all(answer.status == 403 and "exceeded quota: runs" in answer.body["message"] for answer in over),
    )


def _named(pod: Resource, prefix: str) -> Resource:
    named = copy.deepcopy(pod)
    named["metadata"]["name"] = f"{prefix}-{pod['metadata']['name']}"
    return named


def _pods(work: Path, *settings: str) -> list[Resource]:
    """Return the pods of a run's executors, in the namespace with the quota."""
    package = work / "pipeline.yaml"
    compile_pipeline(package, IMAGE, pods=pod_settings(settings))
    nowhere: Resource = {"node_selector": {}, "node_affinity": {}, "tolerations": []}
    pods = list(step_pods(package, nowhere).values())
    for pod in pods:
        pod["metadata"]["namespace"] = TEAM
        pod["spec"]["serviceAccountName"] = "mnist-pipeline"
    return pods


def main(arguments: list[str]) -> int:
    """Try the rights and the quota, write the record, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability.rights", description=__doc__)
    parser.add_argument(
        "programs", type=Path, help="directory with etcd, kube-apiserver, kube-controller-manager"
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/reliability-rights.json"))
    options = parser.parse_args(arguments)
    with api_server(options.programs) as server, tempfile.TemporaryDirectory() as work:
        set_up(server)
        version = server.ask("GET", "/version").body["gitVersion"]
        rows = list(rights(server))
        held = dict(quota(server, Path(work)))
    counts = [row[column].split(" of ") for row in rows for column in COUNTED]
    return write_record(
        options.output,
        title="Rights and quota",
        explanation=EXPLANATION.format(version=version),
        rows=rows,
        floors=[
            {
                "floor": "every needed request granted, every other denied",
                "measured": " of ".join(str(sum(map(int, numbers))) for numbers in zip(*counts, strict=True)),
                "met": all(done == of for done, of in counts),
            },
            *({"floor": what, "measured": "so" if so else "not so", "met": so} for what, so in held.items()),
        ],
        command=shlex.join(["python", "-m", "benchmarks.reliability.rights", "PROGRAMS"]),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
