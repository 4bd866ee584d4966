"""Memory that the rows of a Parquet file take, by the headers of its pages: nothing holds a file to its footer.

The footer is read here too: pyarrow ends the process where the statistics of a column's pages are damaged.
"""

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
# Of the packings that are told apart, by their numbers in the footer.
PACKINGS = {0: "UNCOMPRESSED", 1: "SNAPPY"}
# Kinds of fields.
TRUE, FALSE, BYTE, SHORT, INTEGER, LONG, DOUBLE, TEXT, LIST, STRUCT = 1, 2, 3, 4, 5, 6, 7, 8, 9, 12
# Fields by kind and number: of a page's header,
UNPACKED, PACKED, VALUES = (INTEGER, 2), (INTEGER, 3), (INTEGER, 1)
DATA, DATA_V2 = (STRUCT, 5), (STRUCT, 8)
# and of the footer.
GROUPS, CHUNKS, CHUNK = (LIST, 4), (LIST, 1), (STRUCT, 3)
PACKING, CHUNK_BYTES, DATA_PAGE, DICTIONARY_PAGE = (INTEGER, 4), (LONG, 7), (LONG, 9), (LONG, 11)
END = b"PAR1"

Fields = dict[tuple[int, int], Any]


class Chunk(NamedTuple):
    """Values of one column in one group of rows, as the footer has them.

    Attributes:
        start: Place of the first page.
        size: Bytes of the pages with their headers, packed.
        packing: How they are packed, by `PACKINGS`; "" for another way.
    """

    start: int
    size: int
    packing: str


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
        chunks = _chunks(content)
        for group in groups:
            pages, listed, row = _group_bytes(content, metadata, chunks[group], leaves)
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
    content: mmap.mmap, metadata: "pq.FileMetaData", chunks: Sequence[Chunk], leaves: Sequence[int]
) -> tuple[int, int, int]:
    """Return the most bytes of pages that are unpacked together, of all lists, and of a row without its lists."""
    unpacked, listed, row = 0, 0, 0
    for at in leaves:
        leaf, chunk = metadata.schema.column(at), chunks[at]
        # A text, which a page may repeat as often as it likes, is no longer than the page.
        width = WIDTHS.get(leaf.physical_type, 0)
        most = chunk.size * MOST_INFLATED.get(chunk.packing, LARGEST_AT_ONCE)
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


def _chunks(content: mmap.mmap) -> list[list[Chunk]]:
    """Return the chunks of each group of rows."""
    at = len(content) - len(END) - 4
    footer, _ = _struct(content, at - int.from_bytes(content[at : at + 4], "little"))
    return [[_chunk(chunk[CHUNK]) for chunk in group[CHUNKS]] for group in footer[GROUPS]]


def _chunk(fields: Fields) -> Chunk:
    start = fields[DATA_PAGE]
    return Chunk(
        min(start, fields.get(DICTIONARY_PAGE) or start),
        fields[CHUNK_BYTES],
        PACKINGS.get(fields[PACKING], ""),
    )


def _pages(content: mmap.mmap, chunk: Chunk) -> Pages:
    at, end, largest, values = chunk.start, chunk.start + chunk.size, 0, 0
    while at < end:
        header, at = _struct(content, at)
        unpacked, packed = header.get(UNPACKED, -1), header.get(PACKED, -1)
        held = max(header.get(kind, {}).get(VALUES, 0) for kind in (DATA, DATA_V2))
        if min(unpacked, packed, held) < 0:
            raise ValueError("a page has no size")
        largest, values, at = max(largest, unpacked), values + held, at + packed
    return Pages(largest, values)


def _struct(content: mmap.mmap | bytes, at: int) -> tuple[Fields, int]:
    """Return the numbers, structures and lists of structures in a structure of Thrift's compact protocol, and its end.

    They are kept with their kinds: Arrow skips a field of another kind than it looks for.
    """
    fields: Fields = {}
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
            raise ValueError("a field has no number")
        if kind not in {TRUE, FALSE}:
            fields[kind, number], at = _value(content, at, kind)
    return fields, at + 1


def _value(content: mmap.mmap | bytes, at: int, kind: int) -> tuple[Any, int]:
    """Return the value of one kind at a place, None for one that counts nothing, and where it ends."""
    if kind == STRUCT:
        return _struct(content, at)
    if kind == LIST:
        return _list(content, at)
    if kind in {SHORT, INTEGER, LONG}:
        value, at = _varint(content, at)
        # Almost all are small.
        return value >> 1 ^ -(value & 1) if value < 128 else _signed(value, 64 if kind == LONG else 32), at
    if kind == TEXT:
        length, at = _varint(content, at)
        return None, at + length
    if kind in {BYTE, DOUBLE}:
        return None, at + (1 if kind == BYTE else 8)
    raise ValueError("a field is of no known kind")


def _list(content: mmap.mmap | bytes, at: int) -> tuple[list[Any], int]:
    head, at = content[at], at + 1
    count, kind = head >> 4, head & 15
    if count == 15:
        count, at = _varint(content, at)
    if kind in {TRUE, FALSE}:
        kind = BYTE
    values = []
    for _ in range(count):
        value, at = _value(content, at, kind)
        # Bytes and texts may end behind the file; each takes some.
        if at > len(content):
            raise ValueError("a list has no end")
        if kind == STRUCT:
            values.append(value)
    return values, at


def _signed(value: int, bits: int) -> int:
    if value >> bits:
        raise ValueError("a number is too large")
    return value >> 1 ^ -(value & 1)


def _varint(content: mmap.mmap | bytes, at: int) -> tuple[int, int]:
    if (value := content[at]) < 128:
        return value, at + 1
    value = shift = 0
    while (byte := content[at]) >= 128:
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if shift > 63:
            raise ValueError("a number has no end")
    return value | byte << shift, at + 1
