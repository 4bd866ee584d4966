"""Choice of one of several by its name, its id, or the beginning of either."""

from collections.abc import Mapping

from components.common.errors import PipelineError

MOST_NAMED = 10


def chosen(named: str, names: Mapping[str, str], where: str) -> str:
    """Return the id of the run that is meant.

    Args:
        named: What was given: a name or an id, or how only one of them begins.
        names: The runs' names by their ids.
        where: The command that lists them.

    Raises:
        PipelineError: No run is named so, or several are.
    """
    exact = [identity for identity, name in names.items() if named in {identity, name}]
    found = exact or [
        identity
        for identity, name in names.items()
        if named and (identity.startswith(named) or name.startswith(named))
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        raise PipelineError(
            f"a run must have the name or id of a run of the pipeline but {named!r} is none: choose one of `{where}`."
        )
    several = ", ".join(f"{names[identity]} ({identity})" for identity in found[:MOST_NAMED])
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    raise PipelineError(
        f"a run must be named by itself but {named!r} may be {several}{more}: write one in full."
    )
