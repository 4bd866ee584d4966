"""Rules for names: data set, registered model, experiment."""

import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, ValidationInfo

LONGEST_DATASET, LONGEST_NAME, LONGEST_LABEL = 40, 100, 250
# What pydantic is told where the plan of a new run is validated.
NEW_RUN = "new run"
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


def for_new_runs(rule: Callable[[str], str]) -> AfterValidator:
    """Return a validator that applies a rule to the plan of a new run; a stored plan may be of before the rule."""

    def check(value: str, info: ValidationInfo) -> str:
        return rule(value) if info.context == NEW_RUN else value

    return AfterValidator(check)


def _named(name: str, pattern: str, rule: str, longest: int) -> str:
    if not re.fullmatch(pattern, name) or len(name) > longest:
        raise ValueError(f"must be 1 to {longest} of {rule}, a letter or digit first, but is {name!r:.120}")
    return name


def _dataset(name: str) -> str:
    return _named(name, "[a-z0-9][a-z0-9-]*", "a-z, 0-9 and -", LONGEST_DATASET)


def _model(name: str) -> str:
    # MLflow takes no dot in the name of a logged model; and NAME.history names a model's history.
    return _named(name, "[A-Za-z0-9][A-Za-z0-9_-]*", "A-Z, a-z, 0-9, _ and -", LONGEST_NAME)


def _experiment(name: str) -> str:
    return _named(name, "[A-Za-z0-9][A-Za-z0-9._-]*", "A-Z, a-z, 0-9, ., _ and -", LONGEST_NAME)


def _label(text: str) -> str:
    if not text.isprintable() or len(text) > LONGEST_LABEL:
        raise ValueError(f"must be at most {LONGEST_LABEL} printable characters but is {text!r:.120}")
    return text


DatasetName = Annotated[str, for_new_runs(_dataset)]
ModelName = Annotated[str, for_new_runs(_model)]
ExperimentName = Annotated[str, for_new_runs(_experiment)]
Label = Annotated[str, for_new_runs(_label)]


def default_model_name(dataset: str) -> str:
    """Return the registered model's name for a data set: each has its own, so that no two share a champion."""
    return f"{dataset}-cnn"


def dataset_slug(address: str) -> str:
    """Return a data set's name made of the last part of its address, or of the one before where that says nothing.

    Empty where neither does; "raw" in `FashionMNIST/raw` says nothing.
    """
    try:
        path = PurePosixPath(unquote(urlsplit(address).path))
    except ValueError:
        # Brackets in which no address of IPv6 stands.
        return ""
    for part in reversed(path.parts[-2:]):
        name = re.sub(r"[^a-z0-9]+", "-", _stem(part.lower()))[:LONGEST_DATASET].strip("-")
        if name and name not in SAYS_NOTHING and not name.isdecimal():
            return name
    return ""


def _stem(name: str) -> str:
    while (suffix := PurePosixPath(name).suffix) in PACKED:
        name = name.removesuffix(suffix)
    return name
