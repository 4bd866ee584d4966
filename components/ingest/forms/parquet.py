"""Parquet files, as Hugging Face and OpenML give data sets out."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from components.common.bounds import LARGEST_PART, require_within
from components.common.errors import PipelineError
from components.common.plan.run import DataPlan
from components.ingest.form import Form, Place, rows_of
from components.ingest.parquet_pages import bounded_reads
from components.ingest.subsets import PART_WORDS, chosen_subset, files_by_part
from components.ingest.tables import Table, intact, listed_names, named, table_form

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MAGIC = b"PAR1"
SUFFIXES = (".parquet", ".pq")


def recognize(place: Place, data: DataPlan, scratch: Path | None) -> Form | None:
    """Recognize a Parquet file, or a directory of such files: one for each part, or several shards of each."""
    if place.path.is_file():
        with place.path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                return None
        table = _table([place])
        if form := table_form("parquet", place, {"train": table}, data, scratch=scratch):
            return form
        raise PipelineError(
            f"{place.uri} must have a column of pictures, such as image, or one for each pixel but has only "
            f"{listed_names(table.schema.names)}: write the pictures into it."
        )
    sets, others = files_by_part(place.path.iterdir(), SUFFIXES)
    # As the Hub converts data sets: a directory for each part.
    for child in sorted(place.path.iterdir()):
        part = PART_WORDS.get(child.name.lower().removeprefix("partial-"))
        if part and child.is_dir() and (shards := sorted(child.glob("*.parquet"))):
            sets.setdefault("plain", {})[part] = shards
    if not sets:
        return None
    _, parts = chosen_subset(sets, data.subset, place.uri)
    tables = {
        part: _table([place.child(str(path.relative_to(place.path))) for path in paths])
        for part, paths in parts.items()
    }
    notes = [f"not read: {path.name}" for path in others]
    return table_form("parquet", place, tables, data, notes, scratch=scratch)


def _table(shards: Sequence[Place]) -> Table:
    """Return the rows in the shards of one part."""
    schemas = [_schema(shard) for shard in shards]
    for shard, schema in zip(shards, schemas, strict=True):
        if schema.names != schemas[0].names:
            raise PipelineError(
                f"{shard.uri} must have the columns of {shards[0].uri} but has others: give files of one data set."
            )

    def batches(columns: Sequence[str]) -> Iterator["pa.RecordBatch"]:
        for shard in shards:
            yield from _batches(shard, columns)

    return Table(shards[0].uri, schemas[0], batches)


def _schema(shard: Place) -> "pa.Schema":
    with intact(shard.uri), _opened(shard) as file:
        schema, size = named(file.schema_arrow), _bytes(file.metadata)
    require_within(size, LARGEST_PART, f"{shard.uri}: announced bytes", "give a smaller file")
    return schema


def _opened(shard: Place) -> "pq.ParquetFile":
    import pyarrow.parquet as pq

    # Pages are read one after another, not a whole group of rows.
    return pq.ParquetFile(shard.path, memory_map=True, pre_buffer=False)


def _bytes(metadata: "pq.FileMetaData") -> int:
    return sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))


def _batches(shard: Place, columns: Sequence[str]) -> Iterator["pa.RecordBatch"]:
    with intact(shard.uri), _opened(shard) as file:
        # As the footer announces, which may be anything.
        rows = rows_of(_bytes(file.metadata) // max(1, file.metadata.num_rows))
        for groups, most in bounded_reads(shard, file.metadata, columns):
            yield from file.iter_batches(min(rows, most), groups, list(columns))
