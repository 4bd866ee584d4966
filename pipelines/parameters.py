"""Parameters of a run, as people give them to the command line and as the pipeline takes them."""

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.common.errors import PipelineError
from components.common.plan.names import dataset_slug
from components.common.plan.placement import parse_gpu_count
from components.common.plan.resolve import Layer, Resolved, flattened, option_name, parsed, resolve
from components.common.settings import export, export_defaults
from components.common.storage.address import VARIABLE, VARIABLES, grants_access
from pipelines.pods import PLAIN, Pods, parse_pods

# Data of a run on this machine: MNIST where it can be had, else the bundled digits.
AUTO = "auto"
# Options that are fields of the pipeline's form, by the field's name; the form has one more field for all others.
FORM = {"data.source": "data", "recipe": "recipe", "search.trials": "trials"}
# Parameters that are no options of the plan: where Kubernetes puts the tasks that train.
PLACEMENT: dict[str, tuple[type, str]] = {
    "gpu_count": (str, "a whole number"),
    "gpu_resource": (str, "text"),
    "node_affinity": (dict, "a JSON object, Kubernetes' nodeAffinity"),
    "node_selector": (dict, 'a JSON object like {"key": "value"}'),
    "tolerations": (list, "a JSON list"),
}
# Parameters of the pipeline that looks for drift, beside all others.
MONITORING: dict[str, tuple[type, str]] = {
    "monitor_allow_unsigned": (bool, "true or false"),
    "monitor_hours": (int, "a whole number"),
    "monitor_model": (str, "text"),
    "monitor_requests": (str, "text"),
    "monitor_retrain": (bool, "true or false"),
}


@dataclass(frozen=True)
class Request:
    """What a run is asked to be.

    Attributes:
        layers: Options of the plan from a file and from the command line; a later layer counts more.
        placement: Further parameters of the pipeline.
        pods: What is fixed when the pipeline is compiled.
    """

    layers: tuple[Layer, ...] = ()
    placement: Mapping[str, Any] = field(default_factory=dict)
    pods: Pods = PLAIN

    def resolved(self) -> Resolved:
        """Make the plan by the rules of all steps, as the run's first task does.

        Raises:
            PipelineError: A value breaks its rule.
        """
        gpus = parse_gpu_count(self.placement.get("gpu_count", "0"))
        return resolve(self.layers, gpu_count=gpus)

    def preferring(self, options: Mapping[str, Any]) -> "Request":
        """Return the request with options that count where nothing else was asked for."""
        return replace(self, layers=(("schedule", options), *self.layers))

    def on(self, source: str, name: str | None = None) -> "Request":
        """Return the request for this source of data, and for this name of it where none was asked for."""
        options = {"data.source": source}
        if name and self.resolved().plan.data.name is None:
            options["data.name"] = name
        return replace(self, layers=(*self.layers, ("this machine", options)))

    def arguments(self) -> dict[str, Any]:
        """Return those of the pipeline's arguments that differ from their defaults."""
        options = {option_name(name): value for _, layer in self.layers for name, value in layer.items()}
        fields = {FORM[name]: options.pop(name) for name in FORM if name in options}
        return {**fields, **({"options": options} if options else {}), **self.placement}

    def run_name(self) -> str:
        """Return a name by which a person can tell the run from others in a chart's legend.

        Its time is UTC, which no clock change repeats; runs of the same second differ in the last six characters.
        """
        plan = self.resolved().plan
        data = plan.data.name or dataset_slug(plan.data.source) or "data"
        return f"{data}-{plan.recipe}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def request(
    settings: Iterable[str] = (),
    *,
    plan_file: Path | None = None,
    flags: Mapping[str, Any] | None = None,
    local: bool = False,
    compiles: bool = False,
) -> Request:
    """Put together what the command line was given.

    Args:
        settings: "name=value" of any option or parameter; of equal names the last counts.
        plan_file: YAML or JSON file of the options that differ from their defaults.
        flags: Options that have flags of their own; None where the flag is not given.
        local: The run is for this machine, where the data is looked for ("auto") unless it is given.
        compiles: The command compiles the pipeline, so that it can fix what pods are given.

    Raises:
        PipelineError: No such option, a value that is not of its type, or an unreadable file.
    """
    layers: list[Layer] = [("default of a local run", {"data.source": AUTO})] if local else []
    if plan_file:
        layers.append((f"file {plan_file}", read_plan_file(plan_file)))
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    placement: dict[str, Any] = {}
    pods: dict[str, str] = {}
    for name, text in _named_texts(settings):
        if name in PLACEMENT or name in MONITORING:
            placement[name] = _placement(name, text)
        elif name in Pods.model_fields and not compiles:
            raise PipelineError(
                f"{name} must be given where the pipeline is compiled for a cluster but got {text!r} elsewhere: "
                "give it to `mnist-pipeline submit`, `upload` or `compile`."
            )
        elif name in Pods.model_fields:
            pods[name] = text
        else:
            given[option_name(name)] = parsed(option_name(name), text)
    if given:
        layers.append(("option", {option_name(name): value for name, value in given.items()}))
    if local:
        # Who types a command may read what they name, also in a notebook on a cluster.
        export_defaults({"DATA_ALLOW_PRIVATE": "1"})
        layers = list(_hidden(layers))
    return Request(tuple(layers), placement, parse_pods(pods))


def pod_settings(settings: Iterable[str]) -> Pods:
    """Return what pods are given, where a command compiles the pipeline and starts no run.

    Args:
        settings: "name=value" of these settings.

    Raises:
        PipelineError: Another option, or a value that breaks its rule.
    """
    given = dict(_named_texts(settings))
    if others := sorted(given.keys() - Pods.model_fields.keys()):
        raise PipelineError(
            f"--set must name one of {', '.join(Pods.model_fields)} here but got {others[0]!r}: "
            "options of a run are given to `mnist-pipeline submit` or `schedule set`."
        )
    return parse_pods(given)


def _named_texts(settings: Iterable[str]) -> Iterator[tuple[str, str]]:
    for setting in settings:
        name, separator, text = setting.partition("=")
        if not separator:
            raise PipelineError(
                f"--set must be NAME=VALUE but got {setting!r}: give for example --set epochs=2."
            )
        yield name, text


def _hidden(layers: Iterable[Layer]) -> Iterator[Layer]:
    """Put an address that grants access into a variable of this process: everybody sees the plan and its name."""
    for origin, layer in layers:
        hidden = {}
        if grants_access(source := str(layer.get("data.source", ""))):
            export({VARIABLES[0]: source})
            hidden = {"data.source": VARIABLE + VARIABLES[0]}
        yield origin, {**layer, **hidden}


def read_plan_file(path: Path) -> dict[str, Any]:
    """Read the options of a plan file by dotted name; run.json of an earlier run is one too.

    Raises:
        PipelineError: The file cannot be read, or names an option that there is none of.
    """
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise PipelineError(f"--plan must be a file that can be read but {path}: {reason}.") from None
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise PipelineError(f"--plan must be YAML or JSON but {path} is not: {reason}.") from None
    if not isinstance(document, dict):
        raise PipelineError(
            f"--plan must hold options by name but {path} holds {type(document).__name__}: "
            "write for example `training: {epochs: 2}`."
        )
    # Dates and the like become text.
    return flattened(json.loads(json.dumps(document, default=str)))


def _placement(name: str, text: str) -> Any:
    kind, rule = (PLACEMENT | MONITORING)[name]
    if kind is str:
        return text
    try:
        value = json.loads(text)
    except (RecursionError, ValueError):
        value = None
    if not isinstance(value, kind):
        raise PipelineError(f"{name} must be {rule} but got {text!r}.")
    return value
