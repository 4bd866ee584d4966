"""The pipeline's parameters as a user gives them: name=value, checked before anything starts."""

import json
import re
from collections.abc import Iterable
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from components.common.errors import PipelineError
from pipelines.pipeline import mnist_pipeline


def parse_settings(settings: Iterable[str]) -> dict[str, Any]:
    """Turn "name=value" strings into the pipeline's arguments.

    Raises:
        PipelineError: No such parameter, or a value that is not of its type.
    """
    arguments: dict[str, Any] = {}
    known = mnist_pipeline.pipeline_spec.root.input_definitions.parameters
    for setting in settings:
        name, separator, text = setting.partition("=")
        if not separator:
            raise PipelineError(f"--set takes name=value but got {setting!r}.")
        if name not in known:
            raise PipelineError(f"{name!r} is no pipeline parameter: choose from {', '.join(sorted(known))}.")
        arguments[name] = _value(name, known[name].parameter_type, text)
    return arguments


def _value(name: str, parameter_type: int, text: str) -> Any:
    from kfp.pipeline_spec.pipeline_spec_pb2 import ParameterType

    kind = ParameterType.ParameterTypeEnum.Name(parameter_type)
    if kind == "STRING":
        return text
    accepted: dict[str, tuple[type | tuple[type, ...], str]] = {
        "NUMBER_INTEGER": (int, "a whole number"),
        "NUMBER_DOUBLE": ((int, float), "a number"),
        "BOOLEAN": (bool, "true or false"),
        "STRUCT": (dict, 'a JSON object like {"key": "value"}'),
        "LIST": (list, "a JSON list"),
    }
    types, rule = accepted[kind]
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        value = None
    if not isinstance(value, types) or (isinstance(value, bool) and kind != "BOOLEAN"):
        raise PipelineError(f"parameter {name} must be {rule} but got {text!r}.")
    # kfp takes no whole number for a parameter that may be a fraction.
    return float(value) if isinstance(value, int) and kind == "NUMBER_DOUBLE" else value


def check_arguments(arguments: dict[str, Any]) -> None:
    """Ask the steps, before any of them starts, whether they will accept these arguments.

    Raises:
        PipelineError: A value breaks the rule of the step that it is for.
    """
    from components.common.plan.placement import parse_gpu_count
    from components.common.plan.training import configuration
    from components.evaluate.gate import check_min_accuracy
    from components.preprocess.prepare import PreprocessConfig
    from components.train.step import check_seeds
    from components.tune.step import check_search

    given = {**defaults(), **arguments}
    options = {name: given[name] for name in ("epochs", "batch_size", "learning_rate", "seed")}
    baseline = configuration(given["recipe"], options, "{}")
    PreprocessConfig(given["split_seed"], given["stratify"], given["fraction"])
    check_search(
        given["trials"], given["tuning_workers"], given["tuning_seeds"], given["search_space"], baseline
    )
    check_seeds(given["seeds"])
    check_min_accuracy(given["min_accuracy"])
    parse_gpu_count(given["gpu_count"])


def defaults() -> dict[str, Any]:
    """Return the pipeline's parameters with their default values."""
    inputs = mnist_pipeline.component_spec.inputs
    return {name: specification.default for name, specification in inputs.items()}


def run_name(arguments: dict[str, Any]) -> str:
    """Name the run so that a person can tell it from others in a chart's legend."""
    given = {**defaults(), **arguments}
    data = given["dataset_name"] or PurePosixPath(given["data"].rstrip("/")).name
    slug = re.sub(r"[^\w.-]+", "-", data.removesuffix(".npz"))
    return f"{slug}-{given['recipe']}-{datetime.now():%m%d-%H%M%S}"
