"""Name of a data set, which its registered model and champion are named by."""

from collections.abc import Mapping

from components.common.errors import PipelineError
from components.common.plan.names import dataset_slug
from components.common.plan.run import DataPlan
from components.common.storage.files import combined_digest
from components.ingest.sources import MNIST_SHA256

DIGEST_DIGITS = 8


def dataset_name(data: DataPlan, uri: str, files: Mapping[str, str]) -> str:
    """Return the name of the data set; `mnist` and `digits` are kept for the genuine data.

    Args:
        data: The plan's data section.
        uri: Address that the data came from.
        files: SHA-256 of each file of the raw data by name.

    Raises:
        PipelineError: The name belongs to other data.
    """
    genuine = "mnist" if files == MNIST_SHA256 else "digits" if data.source == "digits" else ""
    name = data.name or genuine or derived_name(data, uri, files)
    if name == genuine:
        return name
    if genuine:
        raise PipelineError(f"data.name must be {genuine!r} for this data but is {name!r}: leave it out.")
    if name == "digits":
        raise PipelineError(
            f"the name 'digits' must belong to scikit-learn's digits but {uri} is other data: set another data.name."
        )
    if name == "mnist":
        raise PipelineError(f"data named mnist must be the genuine MNIST but in {uri} {_foreign(files)}.")
    return name


def derived_name(data: DataPlan, uri: str, files: Mapping[str, str]) -> str:
    """Return a name made of the address, or of the content where the address says nothing."""
    said = dataset_slug(f"{uri.rstrip('/')}/{data.subset}" if data.subset else uri)
    name = said or f"data-{combined_digest(files)[:DIGEST_DIGITS]}"
    # Somebody may keep other data under a genuine set's name; a model of that name is not for it.
    return f"{name}-{combined_digest(files)[:DIGEST_DIGITS]}" if name in {"mnist", "digits"} else name


def _foreign(files: Mapping[str, str]) -> str:
    differing = next((file for file, digest in MNIST_SHA256.items() if files.get(file) != digest), None)
    if differing is None or differing not in files:
        return "the files are others: set another data.name"
    return (
        f"the sha256 of {differing} is {files[differing]} and not {MNIST_SHA256[differing]}: fetch it again, or set "
        "another data.name"
    )
