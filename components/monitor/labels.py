"""Labels of requests that came in later."""

import csv
from collections.abc import Sequence, Set
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from components.common.bounds import LARGEST_REQUEST_LOG, require_within
from components.common.errors import PipelineError, first_line
from components.common.narration import say
from components.common.storage.object_store import ObjectStore

STEP = "monitor"
# Below the prefix of the requests.
FOLDER, COLUMNS = "labels", ("id", "label")


def read_labels(
    store: ObjectStore, prefix: str, ids: NDArray[np.str_], classes: Sequence[str]
) -> NDArray[np.int64]:
    """Return the place of each request's true class, N; -1 where no label came in.

    The objects `PREFIX/labels/*.csv` have a header with the columns id and label. A label is the name of a class, or
    its place where no class has that name. Of two labels of one request, that of the later object in the order of the
    names counts. Objects and labels that break a rule are said and left out.

    Args:
        store: Where the labels lie.
        prefix: Start of the keys, without a slash at the end.
        ids: Of the requests, N.
        classes: Names of the classes.

    Raises:
        UnavailableError: The store does not answer.
    """
    places = {str(place): place for place in range(len(classes))} | {
        name: place for place, name in enumerate(classes)
    }
    wanted, given, others = set(ids.tolist()), dict[str, str](), 0
    for key, size in sorted(store.sizes(f"{prefix}/{FOLDER}/").items()):
        if not key.endswith(".csv"):
            continue
        try:
            labels, rows = _labels(store, key, size, wanted)
            given |= labels
            others += rows - len(labels)
        except PipelineError as error:
            say(STEP, f"{store.uri(key)} is left out: {error}")
    if others and not given:
        say(
            STEP,
            f"the {others} labels there are of other requests: an id is what the server answers as X-Request-Id, with "
            "-0, -1 and so on after it where a request holds several images",
        )
    unknown = {label for label in given.values() if label not in places}
    if unknown:
        say(STEP, f"{len(unknown)} labels are left out: there is no class {min(unknown)!r}")
    return np.array([places.get(given.get(name, ""), -1) for name in ids.tolist()], np.int64)


def _labels(store: ObjectStore, key: str, size: int, wanted: Set[str]) -> tuple[dict[str, str], int]:
    """Return the labels of the wanted requests in one object, by their ids, and the number of its rows.

    All its labels may be too many for the memory.
    """
    require_within(size, LARGEST_REQUEST_LOG, "its bytes", "split it")
    with TemporaryDirectory() as scratch:
        path = Path(scratch, "labels.csv")
        if not store.download(key, path):
            raise PipelineError("it must be there but is gone: nothing is to be done.")
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                rows = csv.DictReader(file)
                if not {*COLUMNS} <= set(rows.fieldnames or ()):
                    raise PipelineError(
                        f"its columns must be {' and '.join(COLUMNS)} but are {rows.fieldnames}: correct it."
                    )
                count, found = 0, dict[str, str]()
                for row in rows:
                    count += 1
                    if row["id"] in wanted:
                        found[row["id"]] = (row["label"] or "").strip()
                return found, count
        except (UnicodeDecodeError, csv.Error) as error:
            raise PipelineError(
                f"it must be text in UTF-8 but is not ({first_line(error)}): correct it."
            ) from error
