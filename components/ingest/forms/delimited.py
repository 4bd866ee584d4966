"""CSV files of pixels, as Kaggle and OpenML give data sets out."""

import csv
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from gzip import GzipFile
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from components.common.bounds import require_within
from components.common.data.idx import open_decompressed
from components.common.errors import PipelineError, first_line
from components.common.plan.run import DataPlan
from components.ingest.emnist import emnist_classes, is_emnist
from components.ingest.form import CHUNK_BYTES, Form, Place
from components.ingest.subsets import chosen_subset, files_by_part, set_and_part
from components.ingest.tables import FEWEST_PIXELS, Table, find_columns, intact, table_form
from components.ingest.whole_numbers import parsed_lines

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.csv as pc

SUFFIXES = (".csv.gz", ".csv", ".tsv.gz", ".tsv")
DELIMITERS = ",;\t"
# Bytes that the types of the columns are found in, and that one core parses at a time.
FIRST_BYTES = 2**20
# Lines that are looked at to tell labels from pixels, which at a corner are nearly all the same.
SAMPLE = 1000
NEARLY_ALL = 0.99


@dataclass(frozen=True)
class Layout:
    """What the beginning of a CSV file shows.

    Attributes:
        delimiter: Character between the values.
        columns: Names of the columns, of the first line or made up.
        header: Whether the first line names the columns.
        made_up: Whether the names were made up, since the first line does not name the label.
    """

    delimiter: str
    columns: tuple[str, ...]
    header: bool
    made_up: bool = False


@dataclass(frozen=True)
class CsvFile:
    """A file with a row of pixels for each image."""

    place: Place
    layout: Layout


def recognize(place: Place, data: DataPlan, scratch: Path | None) -> Form | None:
    """Recognize a CSV file with a row of pixels for each image, or a directory with one such file for each part."""
    del scratch
    if place.path.is_file():
        layout = read_layout(place)
        name = re.sub(r"\.(csv|tsv)(\.gz)?$", "", place.uri.rpartition("/")[2], flags=re.IGNORECASE)
        data_set, _ = set_and_part(name)
        return _form(place, data_set, {"train": CsvFile(place, layout)}, data, []) if layout else None
    sets, others = files_by_part(place.path.iterdir(), SUFFIXES)
    found: dict[str, dict[str, CsvFile]] = {}
    for data_set, parts in sets.items():
        for part, paths in parts.items():
            files = [place.child(path.name) for path in paths]
            read = [CsvFile(file, layout) for file in files if (layout := read_layout(file))]
            if len(read) > 1:
                listed = ", ".join(file.place.uri for file in read)
                raise PipelineError(
                    f"there must be one file for the {part} part but there are {listed}: join them."
                )
            if read:
                found.setdefault(data_set, {})[part] = read[0]
    if not found:
        return None
    data_set, parts_found = chosen_subset(found, data.subset, place.uri)
    return _form(place, data_set, parts_found, data, [f"not read: {path.name}" for path in others])


def _form(
    place: Place, data_set: str, files: dict[str, CsvFile], data: DataPlan, notes: list[str]
) -> Form | None:
    made_up = [file.layout.columns for file in files.values() if file.layout.made_up]
    if made_up and "label" in made_up[0]:
        end = "first" if made_up[0][0] == "label" else "last"
        notes.append(f"there is no line of names: the {end} column was taken for the label")
    form = table_form("csv", place, {part: _table(file) for part, file in files.items()}, data, notes)
    if form and is_emnist(data_set):
        directory = place.path if place.path.is_dir() else place.path.parent
        return replace(form, names=emnist_classes(directory, data_set), turned=True)
    return form


def read_layout(place: Place) -> Layout | None:
    """Return the layout of a CSV file, or None for a file that is no table of pixels.

    Raises:
        PipelineError: It is damaged, its lines are too long, or it is not clear which column is the label.
    """
    named = place.uri.lower().endswith(SUFFIXES)
    try:
        with open_decompressed(place.path) as file:
            start = file.read(CHUNK_BYTES)
    except (EOFError, OSError, zlib.error) as error:
        if not named:
            return None
        raise PipelineError(
            f"{place.uri} must be intact but is not ({first_line(error).removesuffix('.')}): fetch it again."
        ) from error
    lines = start.decode("utf-8-sig", "replace").splitlines()
    # A list or an object of JSON, or a page of HTML, may have many commas too.
    if not lines or "\ufffd" in lines[0] or lines[0].startswith(("[", "{", "<")):
        return None
    if not lines[0].replace("\t", "").isprintable():
        return None
    delimiter = max(DELIMITERS, key=lines[0].count)
    first = _cells(lines[0], delimiter)
    if len(first) <= FEWEST_PIXELS:
        return None
    require_within(
        2 * len(lines[0]), CHUNK_BYTES, f"{place.uri}: twice the bytes of a line", "write an npz archive"
    )
    header = _counts(first)
    if sum(not _is_number(cell) for cell in first) > int(not header):
        return Layout(delimiter, tuple(first), header=True)
    # The last line may be cut off.
    body = lines[int(header) : max(1 + header, min(SAMPLE, len(lines) - 1))]
    rows = [line.split(delimiter) for line in body] or [first]
    return Layout(delimiter, _made_up(rows, place.uri), header, made_up=True)


def _cells(line: str, delimiter: str) -> list[str]:
    """Return the values in a line; none where one is longer than 128 KiB, as in no table."""
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))]
    except csv.Error:
        return []


def _counts(cells: list[str]) -> bool:
    """Return whether all cells, but for one name of a label, count from 0 or 1, as pandas names columns."""
    numbers = [int(cell) for cell in cells if cell.isdecimal()]
    start = numbers[0] if numbers else -1
    counted = [*range(start, start + len(numbers))]
    return start in {0, 1} and len(numbers) >= len(cells) - 1 and numbers == counted


def _made_up(rows: list[list[str]], uri: str) -> tuple[str, ...]:
    """Return names for columns without any: "label" where the values are no pixels."""
    count = len(rows[0])
    pixels = tuple(f"pixel{place}" for place in range(count))
    if math.isqrt(count) ** 2 == count:
        return pixels

    def mixed(place: int) -> bool:
        """Return whether a column has no value that nearly all its rows have."""
        values = [row[place] for row in rows if len(row) == count]
        return max(values.count(value) for value in set(values)) < NEARLY_ALL * len(values)

    texts = [place for place, cell in enumerate(rows[0]) if not _is_number(cell)]
    if texts == [0] or (mixed(0) and not mixed(-1) and not mixed(-2)):
        return ("label", *pixels[: count - 1])
    if texts == [count - 1] or (mixed(-1) and not mixed(0) and not mixed(1)):
        return (*pixels[: count - 1], "label")
    raise PipelineError(
        f"{uri} must show which column is the label but the first and the last may be: give it a first line of names, "
        "such as label,pixel0,pixel1."
    )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _table(file: CsvFile) -> Table:
    """Return the rows; the type of all pixels is decided by the first of them."""
    import pyarrow as pa

    with _explained(file, {}), _reader(file, {}, FIRST_BYTES) as reader:
        schema = reader.schema
    columns = find_columns(schema, file.place.uri)
    pixels = columns.images if columns else ()
    fractions = any(pa.types.is_floating(schema.field(pixel).type) for pixel in pixels)
    types = dict.fromkeys(pixels, pa.float32() if fractions else pa.uint8())
    typed = pa.schema([(field.name, types.get(field.name, field.type)) for field in schema])

    def batches(names: Sequence[str]) -> Iterator["pa.RecordBatch | NDArray[np.uint8]"]:
        yield from _batches(file, {name: typed.field(name).type for name in names})

    return Table(file.place.uri, typed, batches)


def _batches(
    file: CsvFile, types: dict[str, "pa.DataType"]
) -> Iterator["pa.RecordBatch | NDArray[np.uint8]"]:
    """Read the columns that `types` has, some MiB of lines at a time; lines of small whole numbers as an array."""
    import pyarrow as pa

    layout = file.layout
    places = np.array([layout.columns.index(name) for name in types])
    # Columns that lie together are copied together, which is much faster than one by one.
    runs = [
        (int(run[0]), int(run[-1]) + 1) for run in np.split(places, np.flatnonzero(np.diff(places) != 1) + 1)
    ]
    numbers = all(pa.types.is_integer(kind) for kind in types.values())
    with _explained(file, types), open_decompressed(file.place.path) as content:
        header = layout.header
        for lines in _whole_lines(content, file.place.uri):
            body = lines[lines.find(b"\n") + 1 :] if header else lines
            rows = parsed_lines(body, layout.delimiter, len(layout.columns)) if numbers and body else None
            if rows is not None:
                yield np.concatenate([rows[:, start:end] for start, end in runs], axis=1)
            # Blank lines at the end are no rows.
            elif body.strip():
                yield from _parsed_by_arrow(file, lines, types, header=header)
            header = False


def _parsed_by_arrow(
    file: CsvFile, lines: bytes, types: dict[str, "pa.DataType"], *, header: bool
) -> "list[pa.RecordBatch]":
    import pyarrow as pa
    import pyarrow.csv as pc

    # By two cores.
    block = max(FIRST_BYTES, len(lines) // 2 + 1)
    read = pc.ReadOptions(column_names=file.layout.columns, skip_rows=int(header), block_size=block)
    table = pc.read_csv(pa.BufferReader(lines), read, *_options(file, types))
    batches: list[pa.RecordBatch] = table.combine_chunks().to_batches()
    return batches


def _whole_lines(content: IO[bytes] | GzipFile, uri: str) -> Iterator[bytes]:
    """Yield the content in parts of some MiB that end where a line does."""
    rest = b""
    while part := content.read(CHUNK_BYTES):
        if end := part.rfind(b"\n") + 1:
            yield b"".join((rest, memoryview(part)[:end]))
            rest = part[end:]
        else:
            rest += part
            require_within(len(rest), CHUNK_BYTES, f"{uri}: the bytes of a line", "write an npz archive")
    if rest:
        yield rest


@contextmanager
def _explained(file: CsvFile, types: dict[str, "pa.DataType"]) -> Iterator[None]:
    """Turn what is wrong with the file into an error of ours."""
    import pyarrow as pa

    try:
        with intact(file.place.uri):
            yield
    except PipelineError as error:
        if not isinstance(error.__cause__, pa.ArrowInvalid):
            raise
        raise _wrong_line(file, types) from error


@contextmanager
def _reader(file: CsvFile, types: dict[str, "pa.DataType"], block: int) -> Iterator["pc.CSVStreamingReader"]:
    """Open a reader that numbers the rows in its errors."""
    import pyarrow.csv as pc

    read = pc.ReadOptions(
        column_names=file.layout.columns,
        skip_rows=int(file.layout.header),
        block_size=block,
        use_threads=False,
    )
    parse, convert = _options(file, types)
    with open_decompressed(file.place.path) as content, pc.open_csv(content, read, parse, convert) as reader:
        yield reader


def _options(file: CsvFile, types: dict[str, "pa.DataType"]) -> tuple["pc.ParseOptions", "pc.ConvertOptions"]:
    import pyarrow.csv as pc

    parse = pc.ParseOptions(delimiter=file.layout.delimiter)
    return parse, pc.ConvertOptions(column_types=types, include_columns=list(types))


def _wrong_line(file: CsvFile, types: dict[str, "pa.DataType"]) -> PipelineError:
    """Return the error of the first wrong line, which only a reader without threads numbers."""
    import pyarrow as pa

    reason = "it cannot be read"
    try:
        with _reader(file, types, CHUNK_BYTES) as reader:
            for _ in reader:
                pass
    except pa.ArrowInvalid as error:
        reason = str(error)
    row = re.search(r"Row #(\d+)", reason)
    where = f"line {row[1]}" if row else "each line"
    held = re.search(r"Expected \d+ columns, got (\d+)", reason)
    value = re.search(r"invalid value ('.*?')", reason)
    found = (
        f"has {held[1]} values" if held else f"has {value[1]}" if value else f"does not ({reason[:100]!r})"
    )
    return PipelineError(
        f"{file.place.uri}: {where} must have {len(file.layout.columns)} values, with pixels of the kind "
        f"that the first lines have, 0 to 255, but {found}: correct it or leave it out."
    )
