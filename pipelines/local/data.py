"""Data of a local run: the meaning of `--data` on this machine."""

import os
from collections.abc import Callable

from components.common.data.npy import npz_members
from components.common.plan.run import DataPlan
from components.common.settings import settings
from components.common.storage.address import VARIABLE, grants_access
from components.common.storage.object_store import ObjectStore
from components.ingest.detect import recognize
from components.ingest.forms.archives import may_be_archive
from components.ingest.sources import local_place, mnist_available
from pipelines.parameters import AUTO

FALLBACK = (
    "MNIST IS NOT AVAILABLE: no MNIST_DATA_URI, no copy in the object store, no mirror that answers. "
    "This run uses scikit-learn's bundled digits instead, under the data set name 'digits' and a registered model "
    "of its own. Give --data mnist to insist on MNIST."
)


def refuse_missing(data: DataPlan) -> None:
    """Refuse data on this machine that is not there or of no known form, before any server is started.

    What is packed or elsewhere is looked at by the first task.

    Raises:
        PipelineError: There is no such file or directory, or no data set in it.
    """
    named = settings().mnist_data_uri
    source = named if named and data.source in {AUTO, "mnist"} else data.source
    if source in {AUTO, "mnist", "digits"}:
        return
    place = local_place(source)
    if place and (place.path.is_dir() or npz_members(place.path) or not may_be_archive(place.path)):
        recognize(place, data, None)


def local_data(data: str, show: Callable[[str], None]) -> tuple[str, str | None]:
    """Return the source of the data, and its name where only this machine knows it.

    Args:
        data: "auto", "mnist", "digits", or a path or URI.
        show: Called with a warning where "auto" falls back on the bundled digits.
    """
    named = settings().mnist_data_uri
    if data in {AUTO, "mnist"} and named:
        hidden = grants_access(named)
        return f"{VARIABLE}MNIST_DATA_URI" if hidden else absolute_address(named), "mnist"
    if data != AUTO:
        return absolute_address(data), None
    if mnist_available(ObjectStore.from_environment()):
        return "mnist", None
    show(FALLBACK)
    return "digits", None


def absolute_address(data: str) -> str:
    """Make a relative path absolute: the steps run in other directories. No shell reads the ~ of `--data=~/pets`."""
    # An empty text, as of a variable that is not set, is no directory.
    if not data or "://" in data or data.startswith(VARIABLE) or data in {"mnist", "digits"}:
        return data
    return os.path.abspath(os.path.expanduser(data))  # noqa: PTH100, PTH111
