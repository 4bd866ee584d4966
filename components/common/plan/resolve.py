"""Resolution of a run's plan from what was asked for: form, file, options."""

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from components.common.errors import PipelineError
from components.common.plan.names import NEW_RUN
from components.common.plan.run import RunPlan
from components.common.plan.section import SECTIONS, broken_rule
from components.common.plan.space import ranges
from components.common.plan.training import RECIPES, SEED_STRIDE, TrainConfig

# What the platform decides of a run, not its user.
IDENTITY = {"format", "run_id", "run_name", "gpu_count"}
# Further short forms; an option's last part is one where no other option ends in it.
SHORT_FORMS = {
    "data": "data.source",
    "dataset_name": "data.name",
    "data_version": "data.version",
    "tuning_workers": "search.workers",
    "tuning_seeds": "search.seeds",
    "search_space": "search.space",
    "experiment_name": "registry.experiment",
    "model_name": "registry.model",
}
LARGEST_SEED = 2**31 - 1

Layer = tuple[str, Mapping[str, Any]]


def _fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _fields(field.annotation, f"{prefix}{name}.")
        elif prefix or name not in IDENTITY:
            yield prefix + name, field


# Every option by its dotted name.
OPTIONS = dict(_fields(RunPlan))


@dataclass(frozen=True)
class Resolved:
    """A plan, and where the value of each option comes from."""

    plan: RunPlan
    origins: dict[str, str]


def option_name(given: str) -> str:
    """Return the dotted name of the option that `given` names in full or in short.

    Raises:
        PipelineError: There is no such option.
    """
    if given in OPTIONS:
        return given
    if given in SHORT_FORMS:
        return SHORT_FORMS[given]
    ending = [name for name in OPTIONS if name.rpartition(".")[2] == given]
    if len(ending) == 1:
        return ending[0]
    last_parts = {
        **{name: name for name in SHORT_FORMS},
        **{name: name.rpartition(".")[2] for name in OPTIONS},
    }
    close = difflib.get_close_matches(given.rpartition(".")[2], set(last_parts.values()))
    near = ", ".join(ending or [name for last in close for name in last_parts if last_parts[name] == last])
    way_out = f"did you mean {near}" if near else "`mnist-pipeline plan` lists all of them"
    raise PipelineError(f"an option must have a name of the plan but got {given!r}: {way_out}.")


def flattened(document: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    """Return a document of nested sections, dotted names or both as values by dotted name.

    The identity of the run that a stored plan names is left out: every run has its own.

    Raises:
        PipelineError: It names an option that there is none of.
    """
    found: dict[str, Any] = {}
    for key, value in document.items():
        name = f"{prefix}{key}"
        if name in IDENTITY:
            continue
        if name in SECTIONS and isinstance(value, Mapping):
            found |= flattened(value, f"{name}.")
        else:
            found[option_name(name)] = value
    return found


def parsed(name: str, text: str) -> Any:
    """Return the value that a text stands for: itself where the option is a text, else what it is in JSON."""
    if _takes_text(OPTIONS[name].annotation):
        return text
    try:
        return json.loads(text)
    # Also of more digits, or deeper, than Python takes.
    except (RecursionError, ValueError):
        return text


def _takes_text(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin is Literal:
        return all(isinstance(value, str) for value in get_args(annotation))
    if origin is Annotated:
        return _takes_text(get_args(annotation)[0])
    if origin in {Union, UnionType}:
        return any(_takes_text(part) for part in get_args(annotation))
    return annotation is str


def resolve(layers: Sequence[Layer], *, run_id: str = "", run_name: str = "", gpu_count: int = 0) -> Resolved:
    """Make the plan, and check it by the rules of all steps.

    Args:
        layers: Origins and values by option name; a later layer counts more.
        run_id: Kubeflow's id of the pipeline run.
        run_name: Name of the run for people.
        gpu_count: GPUs that each training and search task asks for.

    Raises:
        PipelineError: An unknown option, or a value that breaks its rule.
    """
    given = {
        option_name(name): (_whole_numbers(value), origin)
        for origin, layer in layers
        for name, value in layer.items()
    }
    recipe = given["recipe"][0] if "recipe" in given else RunPlan.model_fields["recipe"].default
    # Epochs that are given are exact: they lift the recipe's least number of steps.
    if "training.epochs" in given:
        given.setdefault("training.min_steps", (0, given["training.epochs"][1]))
    known = RECIPES.get(recipe) if isinstance(recipe, str) else None
    document: dict[str, Any] = {"run_id": run_id, "run_name": run_name, "gpu_count": gpu_count}
    document |= {section: {} for section in SECTIONS}
    document["training"] = (known or TrainConfig()).model_dump(mode="json")
    for name, (value, _) in given.items():
        section, _, option = name.rpartition(".")
        (document[section] if section else document)[option] = value
    try:
        plan = RunPlan.model_validate_json(json.dumps(document), context=NEW_RUN)
    except ValidationError as error:
        raise PipelineError(broken_rule(error)) from None
    _check_across(plan)
    return Resolved(plan, {name: _origin(name, plan, given) for name in OPTIONS})


def fitted(resolved: Resolved, images: int) -> tuple[RunPlan, str]:
    """Return the plan with a batch that the training split can fill, and what to say of it; "" where nothing changes.

    A batch that was asked for is not changed.

    Args:
        resolved: The plan, and where its values come from.
        images: Images of the training split.

    Raises:
        PipelineError: The batch was asked for and is larger than the split, or the split is empty.
    """
    plan = resolved.plan
    of_recipe = resolved.origins["training.batch_size"] in {"default", f"recipe {plan.recipe}"}
    if plan.training.batch_size <= images or not of_recipe or not images:
        plan.training.check_images(images)
        return plan, ""
    size = 2 ** (images.bit_length() - 1)
    note = (
        f"training.batch_size is {size} and not the recipe's {plan.training.batch_size}: the training split has "
        f"{images} images"
    )
    return plan.model_copy(update={"training": plan.training.differing(batch_size=size)}), note


def _whole_numbers(value: Any) -> Any:
    """Return a JSON value in which 64.0 is 64: Kubeflow makes fractions of all numbers within objects."""
    if isinstance(value, Mapping):
        return {key: _whole_numbers(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_whole_numbers(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _origin(name: str, plan: RunPlan, given: Mapping[str, tuple[Any, str]]) -> str:
    if name in given:
        return given[name][1]
    section, _, option = name.rpartition(".")
    default = TrainConfig.model_fields[option].default if section == "training" else None
    of_recipe = section == "training" and getattr(plan.training, option) != default
    return f"recipe {plan.recipe}" if of_recipe else "default"


def _check_across(plan: RunPlan) -> None:
    """Check what concerns several options at once."""
    ranges(plan.search.space, plan.training)
    highest = plan.training.seed + max(SEED_STRIDE * (plan.seeds - 1), plan.search.seeds)
    if highest > LARGEST_SEED:
        raise PipelineError(
            f"training.seed and those of the further trainings must be at most {LARGEST_SEED} but reach {highest}: "
            "lower training.seed, seeds or search.seeds."
        )


def resolve_form(
    form: Mapping[str, Any], options: Mapping[str, Any], *, run_id: str, run_name: str, gpu_count: int
) -> Resolved:
    """Make the plan of a run that Kubeflow was given as form fields and further options.

    A field always has a value, so an option counts more, unless the field was changed too.

    Raises:
        PipelineError: As `resolve`, or a field and an option contradict each other.
    """
    defaults = values_of(RunPlan(run_id="", run_name=""))
    further = flattened(options)
    for name in form.keys() & further.keys():
        if form[name] != defaults[name] and form[name] != further[name]:
            raise PipelineError(
                f"{name} must be given once but is {form[name]!r} in its field and {further[name]!r} in options: "
                "correct one of them."
            )
    layers = [("form", form), ("options", further)]
    return resolve(layers, run_id=run_id, run_name=run_name, gpu_count=gpu_count)


def values_of(plan: RunPlan) -> dict[str, Any]:
    """Return the value of every option by dotted name, as JSON values."""
    document = plan.model_dump(mode="json")
    found = {}
    for name in OPTIONS:
        section, _, option = name.rpartition(".")
        found[name] = (document[section] if section else document)[option]
    return found


def option_rows() -> Iterator[tuple[str, str, str, str]]:
    """Yield name, rule, default and description of every option, for the documentation."""
    defaults = values_of(RunPlan(run_id="", run_name="", training=TrainConfig()))
    schema = RunPlan.model_json_schema()
    for name, field in OPTIONS.items():
        section, _, option = name.rpartition(".")
        properties = schema["properties"]
        if section:
            properties = schema["$defs"][properties[section]["$ref"].rpartition("/")[2]]["properties"]
        default = "" if defaults[name] is None else json.dumps(defaults[name])
        yield name, _rule(properties[option]), default, field.description or ""


LIMITS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
}


def _rule(schema: Mapping[str, Any]) -> str:
    """Return a rule of the JSON schema in words."""
    if "anyOf" in schema:
        return _rule(next(part for part in schema["anyOf"] if part.get("type") != "null"))
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    kinds = {"integer": "whole number", "number": "number", "boolean": "true or false", "string": "text"}
    kind = kinds.get(schema.get("type", ""), "JSON " + str(schema.get("type")))
    limits = [f"{words} {schema[limit]}" for limit, words in LIMITS.items() if limit in schema]
    return ", ".join([kind, *limits])
