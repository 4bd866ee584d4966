"""Settings of every step's pod that are fixed when the pipeline is compiled: limits, queue, labels, pull secrets.

Kubeflow takes none of these from a run's parameters: a limit cannot be left out at run time, and labels are fixed.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationError

from components.common.errors import PipelineError
from components.common.plan.section import Section, broken_rule

# Kueue reads them on pods.
QUEUE_LABEL, PRIORITY_LABEL = "kueue.x-k8s.io/queue-name", "kueue.x-k8s.io/priority-class"
QUANTITY = re.compile(r"(?P<number>\d{1,15}(\.\d{1,3})?)(?P<unit>m|[kMGT]|[KMGT]i)?", re.ASCII)
UNITS = {
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    **{f"{p}i": 1024.0**n for n, p in enumerate("KMGT", 1)},
}
NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)
LABEL_PART = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", re.ASCII)
# Prefixes of labels that this pipeline, Kubeflow and Argo give themselves.
TAKEN = {"mnist-pipeline", "pipelines.kubeflow.org", "workflows.argoproj.io", QUEUE_LABEL.partition("/")[0]}


def quantity(text: str) -> float:
    """Return the number that Kubernetes means by a text such as "1500m" or "4Gi".

    Raises:
        ValueError: It is none.
    """
    found = QUANTITY.fullmatch(text)
    if not found:
        raise ValueError(f'must be a quantity of Kubernetes such as "1500m" or "4Gi" but is {text!r:.100}')
    return float(found["number"]) * UNITS.get(found["unit"], 1.0)


def _quantity(text: str) -> str:
    quantity(text)
    return text


def _label_value(text: str) -> str:
    if not LABEL_PART.fullmatch(text):
        raise ValueError(f"must be a value that a label of Kubernetes can have but is {text!r:.100}")
    return text


def _labels(labels: dict[str, str]) -> dict[str, str]:
    for key, value in labels.items():
        prefix, _, name = key.rpartition("/")
        if not LABEL_PART.fullmatch(name) or ("/" in key and not NAME.fullmatch(prefix)):
            raise ValueError(f"must have names that labels of Kubernetes can have but has {key!r:.100}")
        if prefix in TAKEN:
            raise ValueError(f"must leave the prefix {prefix} to its owner but has {key!r}")
        if value:
            _label_value(value)
    return labels


def _names(names: list[str]) -> list[str]:
    for name in names:
        if not NAME.fullmatch(name):
            raise ValueError(f"must hold names of Secrets but has {name!r:.100}")
    return names


LabelValue = Annotated[str, AfterValidator(_label_value)]


class Pods(Section):
    """What every step's pod is given, beside what its task needs."""

    cpu_limit: Annotated[str, AfterValidator(_quantity)] | None = Field(
        default=None, description="Processors that a step may use at most."
    )
    memory_limit: Annotated[str, AfterValidator(_quantity)] | None = Field(
        default=None, description="Memory that a step may use at most; Kubernetes kills it above."
    )
    queue: LabelValue | None = Field(default=None, description="LocalQueue of Kueue.")
    queue_priority: LabelValue | None = Field(default=None, description="WorkloadPriorityClass of Kueue.")
    pod_labels: Annotated[dict[str, str], AfterValidator(_labels)] = Field(
        default={}, description="Further labels, as a JSON object."
    )
    pull_secrets: Annotated[list[str], AfterValidator(_names)] = Field(
        default=[], description="Secrets with logins to registries of images, as a JSON list."
    )

    def suffix(self) -> str:
        """Return what tells a package with these settings from others of its image; "" for the defaults."""
        given = self.model_dump(exclude_defaults=True)
        encoded = json.dumps(given, sort_keys=True).encode()
        return f"-{hashlib.sha256(encoded).hexdigest()[:6]}" if given else ""

    def labels(self) -> dict[str, str]:
        """Return the labels of each pod."""
        of_kueue = {QUEUE_LABEL: self.queue, PRIORITY_LABEL: self.queue_priority}
        return {**self.pod_labels, **{key: value for key, value in of_kueue.items() if value}}


PLAIN = Pods()


def parse_pods(texts: Mapping[str, str]) -> Pods:
    """Return the settings that texts stand for; those that are no text are JSON.

    Raises:
        PipelineError: A value breaks its rule.
    """
    given: dict[str, Any] = dict(texts)
    for name in given.keys() & {"pod_labels", "pull_secrets"}:
        with suppress(RecursionError, ValueError):  # a text is refused below
            given[name] = json.loads(given[name])
    try:
        return Pods.model_validate(given)
    except ValidationError as error:
        raise PipelineError(broken_rule(error)) from None


def use_pods(pods: Pods, pipeline: Any) -> None:
    """Write the settings into the compiled pipeline, in place of those of before.

    Raises:
        PipelineError: A limit is below what a step asks for, where Kubernetes would refuse its pod.
    """
    from pipelines.environment import STEP_LABEL

    for executor in pipeline.pipeline_spec.deployment_spec["executors"].values():
        resources = executor["container"]["resources"]
        for limit, request, key in (
            ("cpu_limit", "resourceCpuRequest", "resourceCpuLimit"),
            ("memory_limit", "resourceMemoryRequest", "resourceMemoryLimit"),
        ):
            resources.fields.pop(key, None)
            if text := getattr(pods, limit):
                if quantity(text) < quantity(resources[request]):
                    raise PipelineError(
                        f"{limit} must be at least {resources[request]}, which a step asks for, but is {text!r}."
                    )
                resources[key] = text
    platform = pipeline.platform_spec.platforms["kubernetes"]
    for executor in platform.deployment_spec.executors.values():
        step = executor["podMetadata"]["labels"][STEP_LABEL]
        executor["podMetadata"]["labels"] = {**pods.labels(), STEP_LABEL: step}
        executor.fields.pop("imagePullSecret", None)
        if pods.pull_secrets:
            executor["imagePullSecret"] = [_pull_secret(name) for name in pods.pull_secrets]


def _pull_secret(name: str) -> dict[str, Any]:
    # In both forms, as kfp writes them.
    return {"secretName": name, "secretNameParameter": {"runtimeValue": {"constant": name}}}
