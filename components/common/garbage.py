"""The search for garbage, left out where it finds none."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def imports_stay() -> Iterator[None]:
    """Make imports without a search for garbage, and leave what they made out of later ones: modules stay.

    TensorFlow, MLflow and all that the steps use are imported in two thirds of the processor time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
