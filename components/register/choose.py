"""The registered model and the version that a user means."""

from collections.abc import Iterable, Mapping

from components.common.errors import PipelineError
from components.common.model.aliases import HISTORY_SUFFIX


def choose_model(names: Iterable[str], given: str) -> str:
    """Return the registered model of that name, or the only one where `given` is empty; histories are no models.

    Raises:
        PipelineError: There is no such model, or `given` is empty and there are several.
    """
    models = sorted(name for name in names if not name.endswith(HISTORY_SUFFIX))
    if given in models or (not given and len(models) == 1):
        return given or models[0]
    if not models:
        raise PipelineError("the registry must hold a model but is empty: run the pipeline first.")
    wrong = f"{given!r} is none of them" if given else "there are several"
    raise PipelineError(
        f"a registered model must be named with --model but {wrong}: choose from {', '.join(models)}."
    )


def choose_version(name: str, versions: Iterable[str], aliases: Mapping[str, str], given: str) -> str:
    """Return the number of a version that is given by number, such as `3` or `v3`, or by alias.

    Args:
        name: The registered model.
        versions: Numbers of its versions.
        aliases: Numbers by alias.
        given: What the user gave.

    Raises:
        PipelineError: There is no such version.
    """
    numbers = set(versions)
    number = aliases.get(given, given.removeprefix("v"))
    if number not in numbers:
        choice = ", ".join([*sorted(numbers, key=int), *sorted(aliases)]) or "none"
        raise PipelineError(f"{name!r} must have version {given!r} but has not: choose from {choice}.")
    return number
