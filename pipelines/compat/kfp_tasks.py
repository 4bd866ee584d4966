"""kfp's tasks: how their options are set."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace


@contextmanager
def options_set_quickly() -> Iterator[None]:
    """Let the options of tasks be set without a look at the source of every calling function.

    It may decorate the function of a pipeline, below `dsl.pipeline`.
    """
    from kfp.dsl import pipeline_task

    # kfp 2.17.0: each option that is set asks `inspect.stack()` for the name of one calling function, for the case of
    # an error. That looks through all modules for the source of each calling function: up to half a second an option.
    def stack() -> list[tuple[object, ...]]:
        names = sys._getframe(1).f_code.co_name, sys._getframe(2).f_code.co_name
        return [(None, None, None, name) for name in names]

    original = pipeline_task.inspect
    pipeline_task.inspect = SimpleNamespace(stack=stack)
    try:
        yield
    finally:
        pipeline_task.inspect = original
