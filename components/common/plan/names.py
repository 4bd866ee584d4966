"""Rules for names: data set, registered model, experiment."""

import re
from pathlib import PurePosixPath
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator

LONGEST_DATASET = 40
# MLflow's PostgreSQL columns hold 256 characters, and the history of a model has a name that is 8 characters longer.
LONGEST_MODEL = 200
LONGEST_EXPERIMENT = 500
HISTORY_SUFFIX = ".history"
# Endings of files that hold a data set.
PACKED = (".npz", ".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".parquet", ".csv", ".arrow")
# Names of files and directories that many data sets have.
SAYS_NOTHING = frozenset(
    {"archive", "content", "contents", "data", "dataset", "datasets", "default", "download", "downloads"}
    | {
        "extracted",
        "files",
        "home",
        "images",
        "img",
        "imgs",
        "input",
        "main",
        "media",
        "mnt",
        "opt",
        "pictures",
    }
    | {
        "processed",
        "raw",
        "root",
        "src",
        "srv",
        "test",
        "tmp",
        "train",
        "training",
        "unpacked",
        "unzipped",
        "var",
    }
)


def _dataset(name: str) -> str:
    if not re.fullmatch(rf"[a-z0-9-]{{1,{LONGEST_DATASET}}}", name):
        raise ValueError(f"must be 1 to {LONGEST_DATASET} of a-z, 0-9 and - but is {name!r}")
    return name


def _model(name: str) -> str:
    unfit = sorted({character for character in name if character in "/:'\\" or not character.isprintable()})
    if unfit:
        raise ValueError(f"must be without {' '.join(map(repr, unfit))} but is {name!r}")
    if not name.strip() or name in {".", ".."} or len(name) > LONGEST_MODEL:
        raise ValueError(f"must be a name of 1 to {LONGEST_MODEL} characters but is {name!r}")
    if name.endswith(HISTORY_SUFFIX):
        raise ValueError(f"must not end in {HISTORY_SUFFIX}, which names a model's history, but is {name!r}")
    return name


def _experiment(name: str) -> str:
    if not name.strip() or not name.isprintable() or len(name) > LONGEST_EXPERIMENT:
        raise ValueError(f"must be 1 to {LONGEST_EXPERIMENT} printable characters but is {name!r}")
    return name


DatasetName = Annotated[str, AfterValidator(_dataset)]
ModelName = Annotated[str, AfterValidator(_model)]
ExperimentName = Annotated[str, AfterValidator(_experiment)]


def default_model_name(dataset: str) -> str:
    """Return the registered model's name for a data set: each has its own, so that no two share a champion."""
    return f"{dataset}-cnn"


def dataset_slug(address: str) -> str:
    """Return a data set's name made of the last part of its address, or of the one before where that says nothing.

    Empty where neither does; "raw" in `FashionMNIST/raw` says nothing.
    """
    path = PurePosixPath(unquote(urlsplit(address).path))
    for part in reversed(path.parts[-2:]):
        name = re.sub(r"[^a-z0-9]+", "-", _stem(part.lower()))[:LONGEST_DATASET].strip("-")
        if name and name not in SAYS_NOTHING and not name.isdecimal():
            return name
    return ""


def _stem(name: str) -> str:
    while (suffix := PurePosixPath(name).suffix) in PACKED:
        name = name.removesuffix(suffix)
    return name
