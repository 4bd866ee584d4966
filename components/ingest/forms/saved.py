"""Directories that `save_to_disk` of Hugging Face's datasets writes."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.common.bounds import LARGEST_DESCRIPTION, require_within
from components.common.errors import PipelineError, first_line
from components.common.plan.run import DataPlan
from components.ingest.arrow_messages import is_compressed
from components.ingest.form import Form, Place, rows_of
from components.ingest.subsets import PART_WORDS
from components.ingest.tables import Table, intact, named, table_form

if TYPE_CHECKING:
    import pyarrow as pa

# Of a data set with parts, and of each part.
PARTS_FILE, STATE_FILE = "dataset_dict.json", "state.json"


def recognize(place: Place, data: DataPlan, scratch: Path | None) -> Form | None:
    """Recognize the directory of a `DatasetDict`, or of one `Dataset`, which is taken for the training part."""
    if (place.path / STATE_FILE).is_file():
        return table_form("saved", place, {"train": _table(place)}, data, scratch=scratch)
    if not (place.path / PARTS_FILE).is_file():
        return None
    tables, notes = {}, []
    for split in _names(place.child(PARTS_FILE), lambda parts: list(parts["splits"])):
        if part := PART_WORDS.get(split.lower()):
            tables[part] = _table(place.child(split))
        else:
            notes.append(f"not read: {split}")
    return table_form("saved", place, tables, data, notes, scratch=scratch)


def _table(directory: Place) -> Table:
    files = _names(
        directory.child(STATE_FILE), lambda state: [item["filename"] for item in state["_data_files"]]
    )
    shards = [directory.child(file) for file in files]
    for shard in shards:
        _require_uncompressed(shard)
    with _opened(shards[0]) as stream:
        schema = named(stream.schema)

    def batches(columns: Sequence[str]) -> Iterator["pa.RecordBatch"]:
        for shard in shards:
            yield from _batches(shard, columns)

    return Table(directory.uri, schema, batches)


@contextmanager
def _opened(shard: Place) -> Iterator["pa.RecordBatchStreamReader"]:
    import pyarrow as pa

    with intact(shard.uri), pa.memory_map(str(shard.path)) as file, pa.ipc.open_stream(file) as stream:
        yield stream


def _require_uncompressed(shard: Place) -> None:
    """Refuse a shard whose rows would be unpacked into memory: all others lie in the file itself."""
    import pyarrow as pa

    with intact(shard.uri), pa.memory_map(str(shard.path)) as file:
        messages = pa.ipc.MessageReader.open_stream(file)
        if any(is_compressed(message.metadata.to_pybytes()) for message in messages):
            raise PipelineError(
                f"{shard.uri} must be uncompressed, as save_to_disk writes it, but is compressed: save it again."
            )


def _batches(shard: Place, columns: Sequence[str]) -> Iterator["pa.RecordBatch"]:
    with _opened(shard) as stream:
        for whole in stream:
            batch = whole.select(list(columns))
            # A damaged offset would be followed anywhere in memory.
            batch.validate(full=True)
            step = rows_of(batch.nbytes // max(1, len(batch)))
            for start in range(0, len(batch), step):
                yield batch.slice(start, step)


def _names(file: Place, of: Callable[[Any], list[str]]) -> list[str]:
    """Return the names in a JSON file, which must be names in its directory and no paths."""
    try:
        size = file.path.stat().st_size
        require_within(size, LARGEST_DESCRIPTION, f"{file.uri}: the bytes of a description", "save it again")
        names = of(json.loads(file.path.read_bytes()))
        wrong = [name for name in names if Path(name).name != name]
    except (KeyError, OSError, RecursionError, TypeError, ValueError) as error:
        raise PipelineError(
            f"{file.uri} must be what save_to_disk writes but is not ({first_line(error):.200}): save it again."
        ) from error
    if wrong or not names:
        raise PipelineError(
            f"{file.uri} must name what lies in its directory but names {names!s:.200}: save it again."
        )
    return names
