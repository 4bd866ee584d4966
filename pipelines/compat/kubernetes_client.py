"""Kubernetes' client, which kfp imports."""

import sys

VALIDATOR = "kubernetes_validate"


def leave_out_validator() -> None:
    """Keep the client from importing, in this process, the validator of manifests that tests use."""
    # kubernetes 30.1.0: it imports the validator where that is installed, for an argument that kfp does not give. The
    # import builds a grammar, which takes longer than all of kfp.
    sys.modules.setdefault(VALIDATOR, None)  # type: ignore[arg-type]  # as Python marks what must not be imported
