"""Further attempts at a local task that met an outage, as the cluster makes them."""

import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from components.common.errors import TRY_AGAIN
from components.common.narration import say

# A step has waited for OUTAGE_SECONDS before it gives up.
PAUSES = (10.0, 30.0, 60.0)  # seconds
Given = ParamSpec("Given")


def tried_again(run: Callable[Given, int]) -> Callable[Given, int]:
    """Wrap a function that runs a task, and returns its exit status, so that an outage is tried again after pauses."""

    @wraps(run)
    def attempts(*args: Given.args, **kwargs: Given.kwargs) -> int:
        for number, pause in enumerate(PAUSES, start=1):
            status = run(*args, **kwargs)
            if status != TRY_AGAIN:
                return status
            say("run", f"the step met an outage; attempt {number + 1} of {len(PAUSES) + 1} in {pause:g} s")
            time.sleep(pause)
        return run(*args, **kwargs)

    return attempts
