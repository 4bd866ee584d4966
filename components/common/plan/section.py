"""Base of the plan's sections: frozen, strict, without unknown options, and with errors of one line."""

from typing import Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError


class Section(BaseModel):
    """A group of options."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


# Names of the sections; an option of the plan itself belongs to none.
SECTIONS = ("data", "training", "search", "gate", "registry")


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


# Kubeflow hands on the 64 of a JSON object as 64.0.
WHOLE = BeforeValidator(_whole)


MANY_DIGITS = 1e15

# pydantic's words, and those of the project's errors.
WORDS = {
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a valid boolean": "true or false",
    "a valid string": "text",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
    "greater than": "above",
    "less than": "below",
}


def broken_rule(error: ValidationError, section: str = "") -> str:
    """Return the first broken rule as one line: the option's dotted name, the rule, the value.

    Args:
        error: Raised by pydantic.
        section: Name of the section that was validated; none for the whole plan.
    """
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        # Half a character of UTF-16, or lists in lists without end.
        return f"each option must be a value that JSON can hold but one is not ({first['ctx']['error']})."
    # Behind the option come places within its value, which are numbers or names of types.
    places = [part for part in (section, *map(str, first["loc"])) if part]
    name = ".".join(places[:2] if places[0] in SECTIONS else places[:1])
    if first["type"] == "extra_forbidden":
        return f"{name} must be an option of the plan but is none: `mnist-pipeline plan` lists them."
    if first["type"] == "value_error":
        return f"{name} {first['msg'].removeprefix('Value error, ')}."
    rule = first["msg"].removeprefix("Input should ").partition(", got ")[0].partition(", unable ")[0]
    if first["type"] in {"too_long", "too_short"}:
        kind, bound = ("at most", "max_length") if first["type"] == "too_long" else ("at least", "min_length")
        rule = f"hold {kind} {first['ctx'][bound]} values in a place"
    for theirs, ours in WORDS.items():
        rule = rule.replace(theirs, ours)
    found = first["input"]
    # Digits that nobody counts.
    shown = f"{found:g}" if type(found) in {int, float} and abs(found) >= MANY_DIGITS else f"{found!r:.200}"
    return f"{name} must {rule} but is {shown}."
