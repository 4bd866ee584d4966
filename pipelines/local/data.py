"""Which data a local run takes: what `--data` means on this machine."""

import os
from collections.abc import Callable

from components.common.storage.object_store import ObjectStore
from components.ingest.sources import mnist_available

FALLBACK = (
    "MNIST IS NOT AVAILABLE: no MNIST_DATA_URI, no copy in the object store, no mirror that answers. "
    "This run uses scikit-learn's bundled digits instead, under the data set name 'digits' and a registered model "
    "of its own. Give --data mnist to insist on MNIST."
)


def data_arguments(data: str, tell: Callable[[str], None]) -> dict[str, str]:
    """Return the pipeline arguments that stand for `data`.

    Args:
        data: "auto", "mnist", "digits", or a path or URI.
        tell: Told, loudly, when "auto" has to fall back on the bundled digits.
    """
    named = os.environ.get("MNIST_DATA_URI")
    if data in {"auto", "mnist"} and named:
        return {"data": _absolute(named), "dataset_name": "mnist"}
    if data != "auto":
        return {"data": _absolute(data)}
    if mnist_available(ObjectStore.from_environment()):
        return {"data": "mnist"}
    tell(FALLBACK)
    return {"data": "digits"}


def _absolute(data: str) -> str:
    """Make a relative path absolute: the steps run in directories of their own."""
    return data if "://" in data or data in {"mnist", "digits"} else os.path.abspath(data)  # noqa: PTH100
