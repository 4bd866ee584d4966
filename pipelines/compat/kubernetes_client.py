"""Kubernetes' client, which kfp imports."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

VALIDATOR = "kubernetes_validate"


@contextmanager
def imported_without_validator() -> Iterator[None]:
    """Keep the client, while it is imported, from importing the validator of manifests that tests use."""
    # kubernetes 30.1.0: it imports the validator where that is installed, for an argument that kfp does not give. The
    # import builds a grammar, which takes longer than all of kfp.
    before = sys.modules.get(VALIDATOR)
    sys.modules[VALIDATOR] = None  # type: ignore[assignment]  # as Python marks what must not be imported
    try:
        yield
    finally:
        del sys.modules[VALIDATOR]
        if before:
            sys.modules[VALIDATOR] = before
