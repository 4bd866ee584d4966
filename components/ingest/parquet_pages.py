"""Memory that the rows of a Parquet file take, by the headers of its pages: nothing holds a file to its footer."""

import mmap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from components.common.bounds import LARGEST_IN_MEMORY, require_within
from components.ingest.form import Place

if TYPE_CHECKING:
    import pyarrow.parquet as pq

# The pages that are unpacked at a time, one of each column; and the lists in a group of rows, as one row may hold all.
LARGEST_AT_ONCE = 2 * 2**30
# Of a decoded number, by the type that it is stored in.
WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 12, "FLOAT": 4, "DOUBLE": 8}
# Bytes that one byte becomes at most.
MOST_INFLATED = {"UNCOMPRESSED": 1, "SNAPPY": 22}
# A page of texts that is no larger needs no closer look: hundreds of rows are read at a time.
SMALL_PAGE = 2**20
# Fields of a page's header, and the types of fields that count.
UNPACKED, PACKED, DATA, DATA_V2, VALUES = 2, 3, 5, 8, 1
TRUE, FALSE, BYTE, SHORT, INTEGER, LONG, DOUBLE, TEXT, STRUCT = 1, 2, 3, 4, 5, 6, 7, 8, 12


class Pages(NamedTuple):
    """Pages of one column in one group of rows.

    Attributes:
        largest: Bytes of the largest when it is unpacked.
        values: Values in all of them.
    """

    largest: int
    values: int


def bounded_reads(
    shard: Place, metadata: "pq.FileMetaData", columns: Sequence[str]
) -> list[tuple[Sequence[int], int]]:
    """Return the groups of rows to read together, each with the rows that may be decoded at a time.

    Args:
        shard: The file.
        metadata: Its footer.
        columns: The columns to read.

    Raises:
        PipelineError: Not even one row has room in memory.
        ValueError, IndexError: The file is damaged.
    """
    names = set(columns)
    leaves = [at for at in range(metadata.num_columns) if _is_of(metadata.schema.column(at).path, names)]
    lists = any(metadata.schema.column(at).max_repetition_level for at in leaves)
    groups, longest = range(metadata.num_row_groups), 1
    with shard.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for group in groups:
            pages, listed, row = _group_bytes(content, metadata, group, leaves)
            require_within(
                pages,
                LARGEST_AT_ONCE,
                f"{shard.uri}: the bytes of the pages that are unpacked together",
                "write it with smaller pages, as pyarrow does",
            )
            require_within(
                listed,
                LARGEST_AT_ONCE,
                f"{shard.uri}: the bytes of the lists in a group of rows",
                "write fewer rows to a group",
            )
            longest = max(longest, row)
    rows = max(1, LARGEST_IN_MEMORY // longest)
    return [([group], rows) for group in groups] if lists else [(groups, rows)]


def _is_of(path: str, columns: set[str]) -> bool:
    """Return whether values at a path in the schema belong to one of the columns."""
    parts = path.split(".")
    return any(".".join(parts[:end]) in columns for end in range(1, len(parts) + 1))


def _group_bytes(
    content: mmap.mmap, metadata: "pq.FileMetaData", group: int, leaves: Sequence[int]
) -> tuple[int, int, int]:
    """Return the most bytes of pages that are unpacked together, of all lists, and of a row without its lists."""
    unpacked, listed, row = 0, 0, 0
    for at in leaves:
        leaf, chunk = metadata.schema.column(at), metadata.row_group(group).column(at)
        # A text, which a page may repeat as often as it likes, is no longer than the page.
        width = WIDTHS.get(leaf.physical_type, 0)
        most = chunk.total_compressed_size * MOST_INFLATED.get(chunk.compression, LARGEST_AT_ONCE)
        if leaf.max_repetition_level:
            pages = _pages(content, chunk)
            listed += pages.values * (width or pages.largest)
        elif 0 <= most <= (LARGEST_AT_ONCE // len(leaves) if width else SMALL_PAGE):
            pages = Pages(most, 0)
            row += width or most
        else:
            pages = _pages(content, chunk)
            row += width or pages.largest
        unpacked += pages.largest
    return unpacked, listed, row


def _pages(content: mmap.mmap, chunk: "pq.ColumnChunkMetaData") -> Pages:
    at = min(chunk.data_page_offset, chunk.dictionary_page_offset or chunk.data_page_offset)
    end, largest, values = at + chunk.total_compressed_size, 0, 0
    while at < end:
        header, at = _struct(content, at)
        unpacked, packed = header.get(UNPACKED, -1), header.get(PACKED, -1)
        held = max(header.get(kind, {}).get(VALUES, 0) for kind in (DATA, DATA_V2))
        if min(unpacked, packed, held) < 0:
            raise ValueError("a page has no size")
        largest, values, at = max(largest, unpacked), values + held, at + packed
    return Pages(largest, values)


def _struct(content: mmap.mmap | bytes, at: int) -> tuple[dict[int, Any], int]:
    """Return the numbers and structures in a structure of Thrift's compact protocol, and where it ends."""
    fields: dict[int, Any] = {}
    number = 0
    while head := content[at]:
        at += 1
        kind = head & 15
        if step := head >> 4:
            number += step
        else:
            number, at = _varint(content, at)
            number = _signed(number, 16)
        if not 0 < number < 2**15:
            raise ValueError("a field in the header of a page has no number")
        if kind == STRUCT:
            fields[number], at = _struct(content, at)
        elif kind in {SHORT, INTEGER, LONG}:
            value, at = _varint(content, at)
            # As Arrow does, which skips a field of another type.
            if kind == INTEGER:
                fields[number] = _signed(value, 32)
        elif kind == TEXT:
            length, at = _varint(content, at)
            at += length
        elif kind in {BYTE, DOUBLE}:
            at += 1 if kind == BYTE else 8
        elif kind not in {TRUE, FALSE}:
            raise ValueError("the header of a page is none")
    return fields, at + 1


def _signed(value: int, bits: int) -> int:
    if value >> bits:
        raise ValueError("a number in the header of a page is too large")
    return value >> 1 ^ -(value & 1)


def _varint(content: mmap.mmap | bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while (byte := content[at]) >= 128:
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if shift > 63:
            raise ValueError("a number in the header of a page has no end")
    return value | byte << shift, at + 1
