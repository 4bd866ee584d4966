"""Data sets in tables: columns of images and labels, read batch by batch."""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from components.common.bounds import LARGEST_DESCRIPTION, LARGEST_IN_MEMORY, MOST_CLASSES, require_within
from components.common.errors import PipelineError, first_line
from components.common.plan.run import DataPlan
from components.ingest.decoding import MOST_TOGETHER, picture_shapes, take_pictures
from components.ingest.form import CHUNK_BYTES, Chunk, Form, Part, Place, chunks_of
from components.ingest.picture_files import Contents

if TYPE_CHECKING:
    import pyarrow as pa

IMAGE_NAMES = ("image", "images", "img", "pixels", "picture", "x")
LABEL_NAMES = ("label", "labels", "class", "fine_label", "target", "y", "category", "digit")
# Columns that only number the rows.
INDEX_NAMES = ("", "id", "index", "unnamed: 0", "__index_level_0__")
# Types of columns by which Hugging Face's datasets mark images.
IMAGE_FEATURES = ("Image", "Array2D", "Array3D")
FEWEST_PIXELS = 16
# Characters of a text that is a label; a class has a shorter name.
LONGEST_LABEL = 1000
# Pictures that are looked at before the others.
SAMPLE = 16


@dataclass(frozen=True, eq=False)
class Table:
    """The rows of one part, in one file or several.

    Attributes:
        name: What to call the part in an error.
        schema: Names and types of the columns.
        batches: Begins to read the columns of these names, and yields record batches of a few MiB. Where all of the
            next values are whole numbers from 0 to 255, it may yield them as an array, rows x columns, too.
    """

    name: str
    schema: "pa.Schema"
    batches: Callable[[Sequence[str]], Iterator["pa.RecordBatch | NDArray[np.uint8]"]]


@dataclass(frozen=True)
class Columns:
    """Where images and labels stand.

    Attributes:
        images: The column of images, or the columns of pixels.
        label: The column of labels; None where there is none.
        names: Names of the classes where the labels are numbers and the file has them.
        left_out: Columns that only number the rows.
    """

    images: tuple[str, ...]
    label: str | None
    names: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def table_form(
    kind: str,
    place: Place,
    tables: Mapping[str, Table],
    data: DataPlan,
    notes: Sequence[str] = (),
    scratch: Path | None = None,
) -> Form | None:
    """Return the data set in tables, or None where the training table has no images.

    Args:
        kind: Name of the form.
        place: What holds them.
        tables: By part.
        data: The plan's data section.
        notes: What was decided before.
        scratch: Directory to decode pictures into; None opens no picture, and the form is not to be read.

    Raises:
        PipelineError: There is no training part, labels are missing, or it is not clear which columns count.
    """
    if "train" not in tables:
        raise PipelineError(
            f"{place.uri} must hold the training part too but holds only {', '.join(tables)}: add it."
        )
    train = tables["train"]
    columns = find_columns(train.schema, train.name)
    if columns is None:
        return None
    if columns.label is None:
        raise PipelineError(
            f"{train.name} must have a column of labels, such as label, but has only "
            f"{listed_names(train.schema.names)}: name it so."
        )
    noted = [*notes, *(f"left out is the column {name or 'without a name'}" for name in columns.left_out)]
    kept = {}
    for part, table in tables.items():
        if part != "train" and _unlabelled(table, columns.label):
            noted.append(f"{part} has no labels: left out")
        else:
            _require_columns(table, columns)
            kept[part] = table
    encoded = _is_encoded(train.schema.field(columns.images[0]).type)
    if encoded and scratch:
        parts, changes = _decoded(place, kept, columns, data.size, scratch)
        noted += changes
    else:
        parts = {part: Part(table.name, _chunks(table, columns)) for part, table in kept.items()}
    return Form(kind, place.uri, parts, columns.names, notes=tuple(noted))


def _decoded(
    place: Place, tables: Mapping[str, Table], columns: Columns, size: int | None, scratch: Path
) -> tuple[dict[str, Part], list[str]]:
    """Decode the pictures of all parts into a file; return the parts, and notes of what was changed."""
    labels = {part: _all_labels(table, str(columns.label)) for part, table in tables.items()}
    count = sum(map(len, labels.values()))

    def jobs() -> Iterator[Contents]:
        done = 0
        for part, table in tables.items():
            end = done + len(labels[part])
            for row, files in _files_together(table, columns.images[0]):
                yield Contents(files, table.name, row, done)
                done += len(files)
            # Arrow reads columns of several lengths where it reads one of them alone.
            if done != end:
                raise PipelineError(
                    f"{table.name} must hold a picture for each of its {len(labels[part])} labels but holds "
                    f"{done - end + len(labels[part])}: fetch or write it again."
                )

    first = next(jobs(), None)
    if not first:
        raise PipelineError(f"{place.uri} must hold pictures but holds none: add some.")
    scratch.mkdir(parents=True, exist_ok=True)
    pixels = Path(mkdtemp(dir=scratch), "pixels")
    sample = picture_shapes(replace(first, files=first.files[:SAMPLE]))
    shape, notes = take_pictures(jobs, count, sample, size, pixels)
    images = np.memmap(pixels, np.uint8, "r", shape=(count, *shape))
    parts, done = {}, 0
    for part, table in tables.items():
        end = done + len(labels[part])
        parts[part] = Part(table.name, partial(chunks_of, images[done:end], labels[part]))
        done = end
    return parts, notes


def _labelled_batches(table: Table, columns: Sequence[str]) -> Iterator["pa.RecordBatch | NDArray[np.uint8]"]:
    """Yield the batches of a table with labels as the last column, which have to be in memory as a whole."""
    held = 0
    for batch in table.batches(columns):
        texts = 0 if isinstance(batch, np.ndarray) else batch.column(columns[-1]).nbytes
        held += max(8 * len(batch), texts)
        require_within(held, LARGEST_IN_MEMORY, f"{table.name}: the bytes of all labels", "give fewer rows")
        yield batch


def _files_together(table: Table, column: str) -> Iterator[tuple[int, list[bytes]]]:
    """Yield the contents of pictures, as many as one job has, with the number of the first row."""
    row, files, size = 0, list[bytes](), 0
    for batch in cast("Iterator[pa.RecordBatch]", table.batches([column])):
        for contents in _contents(batch.column(0), table.name, row + len(files)):
            files += contents
            size += sum(map(len, contents))
            if len(files) >= MOST_TOGETHER or size >= CHUNK_BYTES:
                yield row, files
                row, files, size = row + len(files), [], 0
    if files:
        yield row, files


def _all_labels(table: Table, column: str) -> NDArray[Any]:
    """Return all labels of a part."""
    labels, done, texts = [np.empty(0, np.int64)], 0, dict[Any, Any]()
    for batch in cast("Iterator[pa.RecordBatch]", _labelled_batches(table, [column])):
        labels.append(_labels(batch.column(0), f"{table.name}: row {done}", texts))
        done += len(batch)
    return np.concatenate(labels[1:] or labels)


def find_columns(schema: "pa.Schema", name: str) -> Columns | None:
    """Find the columns of images and labels: by their declared types first, then by their names.

    Args:
        schema: Names and types of the columns.
        name: What to call the table in an error.

    Returns:
        The columns; None where there are no images.

    Raises:
        PipelineError: Several columns may be meant, or the pixels' columns are no square image in order.
    """
    features = _features(schema, name)
    images = [column for column, feature in features.items() if feature.get("_type") in IMAGE_FEATURES]
    others = [field for field in schema if field.name.lower() not in LABEL_NAMES]
    images = images or [field.name for field in others if _is_encoded(field.type)]
    lists = [field.name for field in others if _is_list(field.type)]
    images = images or [column for column in lists if column.lower() in IMAGE_NAMES or len(lists) == 1]
    labels = [column for column, feature in features.items() if feature.get("_type") == "ClassLabel"]
    labels = labels or [
        column for column in schema.names if column.lower() in LABEL_NAMES and column not in images
    ]
    label = _only(labels, LABEL_NAMES, "labels", name) if labels else None
    if images:
        return Columns((_only(images, IMAGE_NAMES, "images", name),), label, _class_names(features, label))
    return _pixel_columns(schema.names, label, name)


def _pixel_columns(columns: Sequence[str], label: str | None, name: str) -> Columns | None:
    """Return the columns of one pixel each."""
    left_out = tuple(column for column in columns if column.lower() in INDEX_NAMES and column != label)
    pixels = [column for column in columns if column != label and column not in left_out]
    others = [column for column in pixels if not column[-1].isdecimal()]
    if len(others) == 1 and label is None:
        label = others[0]
        pixels.remove(label)
    elif others or len(pixels) < FEWEST_PIXELS:
        return None
    count = len(pixels)
    if label is None and math.isqrt(count - 1) ** 2 == count - 1:
        raise PipelineError(
            f"{name} must have a column of labels but all its {count} columns are called as pixels are: "
            "name that of the labels label."
        )
    if math.isqrt(count) ** 2 != count:
        colour = count % 3 == 0 and math.isqrt(count // 3) ** 2 == count // 3
        reason = ", which may be colours in any order" if colour else ""
        raise PipelineError(
            f"{name}: a row of pixels must be a square grey image but there are {count} columns of pixels{reason}: "
            "write the images as an npz archive of N x height x width or N x height x width x 3."
        )
    numbers = [[int(number) for number in re.findall(r"\d+", column)] for column in pixels]
    if wrong := next((place for place in range(1, count) if numbers[place] <= numbers[place - 1]), 0):
        raise PipelineError(
            f"{name}: columns of pixels must be in order but {pixels[wrong]} follows {pixels[wrong - 1]}: sort them."
        )
    return Columns(tuple(pixels), label, left_out=left_out)


def _features(schema: "pa.Schema", name: str) -> dict[str, dict[str, Any]]:
    """Return Hugging Face's description of each column; empty where the file has none."""
    about = (schema.metadata or {}).get(b"huggingface", b"{}")
    require_within(
        len(about), LARGEST_DESCRIPTION, f"{name}: the bytes under the key huggingface", "write it again"
    )
    try:
        described = json.loads(about)
        features = described.get("info", {}).get("features", {})
        return {column: feature for column, feature in features.items() if isinstance(feature, dict)}
    except (AttributeError, RecursionError, ValueError) as error:
        raise PipelineError(
            f"{name} must describe its columns under the key huggingface as JSON but does not: write it again."
        ) from error


def _class_names(features: Mapping[str, Mapping[str, Any]], label: str | None) -> tuple[str, ...]:
    """Return the names of the classes whose places the labels are; none where the file has none."""
    names = features.get(label or "", {}).get("names")
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _only(candidates: Sequence[str], preferred: Sequence[str], what: str, name: str) -> str:
    if len(candidates) > 1:
        candidates = [column for column in candidates if column.lower() in preferred] or candidates
    if len(candidates) > 1:
        raise PipelineError(
            f"{name} must have one column of {what} but has {', '.join(candidates)}: leave the others out, or name "
            f"the right one {preferred[0]}."
        )
    return candidates[0]


def listed_names(names: Sequence[str]) -> str:
    """Return the first names of many, and the number of the others."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _is_encoded(kind: "pa.DataType") -> bool:
    """Return whether a column holds files of pictures."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        at = kind.get_field_index("bytes")
        return at >= 0 and (pa.types.is_null(kind.field(at).type) or _is_binary(kind.field(at).type))
    return _is_binary(kind)


def _is_binary(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _is_list(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    if isinstance(kind, pa.FixedShapeTensorType):
        return True
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _require_columns(table: Table, columns: Columns) -> None:
    held = set(table.schema.names)
    if missing := [name for name in (*columns.images, columns.label or "") if name not in held]:
        raise PipelineError(
            f"{table.name} must have the columns of the training part but lacks {listed_names(missing)}: add them."
        )
    names = _class_names(_features(table.schema, table.name), columns.label)
    # `datasets` sorts numbers as text when it makes classes of them: the place of 10 is then before that of 2.
    either = names or columns.names
    in_place = all(not name.isdecimal() or int(name) == place for place, name in enumerate(either))
    if names != columns.names and ((names and columns.names) or not in_place):
        raise PipelineError(
            f"{table.name} must have the class names of the training part, {listed_names(columns.names) or 'none'}, "
            f"but has {listed_names(names) or 'none'}: write all parts with one list of names."
        )


def _unlabelled(table: Table, label: str) -> bool:
    """Return whether every label is missing or -1; reading stops at the first other one."""
    import pyarrow as pa

    if label not in table.schema.names:
        return True
    for batch in _labelled_batches(table, [label]):
        if isinstance(batch, np.ndarray):
            return False
        column = batch.column(0)
        missing = column.null_count
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            missing += int((_numbers(column) == -1).sum())
        if missing < len(column):
            return False
    return True


def _chunks(table: Table, columns: Columns) -> Callable[[], Iterator[Chunk]]:
    """Return what reads images that are numbers, and their labels."""

    def chunks() -> Iterator[Chunk]:
        done, texts = 0, dict[Any, Any]()
        for batch in _labelled_batches(table, [*columns.images, str(columns.label)]):
            place = f"{table.name}: row {done}"
            if isinstance(batch, np.ndarray):
                yield np.ascontiguousarray(batch[:, :-1]), batch[:, -1]
            elif len(columns.images) == 1:
                yield (
                    _nested(batch.column(columns.images[0]), place),
                    _labels(batch.column(columns.label), place, texts),
                )
            else:
                images = _pixels(batch.select(list(columns.images)), table.name, done)
                yield images, _labels(batch.column(columns.label), place, texts)
            done += len(batch)

    return chunks


def _contents(column: "pa.Array", name: str, done: int) -> Iterator[list[bytes]]:
    """Yield the files of pictures in a column whose first row is number `done`, some at a time."""
    import pyarrow as pa

    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_struct(column.type):
        column = column.field("bytes")
    # Rows may share bytes by a dictionary or by views, and then need much more room than the column.
    shared = pa.types.is_dictionary(column.type) or pa.types.is_binary_view(column.type)
    for start in range(0, len(column), MOST_TOGETHER):
        rows = column.slice(start, MOST_TOGETHER)
        few = not shared and rows.nbytes <= CHUNK_BYTES
        for row, contents in enumerate([rows.to_pylist()] if few else ([row.as_py()] for row in rows)):
            if None in contents:
                at = done + start + row + contents.index(None)
                raise PipelineError(
                    f"{name}: each row must hold its picture but row {at} holds none, or a path alone: write the data "
                    "set with the pictures in it."
                )
            yield contents


def _nested(column: "pa.Array", place: str) -> NDArray[Any]:
    """Return lists of numbers, or lists of such lists, as one array."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(column, pa.FixedShapeTensorArray) and not column.null_count:
        images: NDArray[Any] = column.to_numpy_ndarray()
        return images
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    shape = [len(column)]
    while _is_list(column.type) and not column.null_count:
        lengths = pc.list_value_length(column).unique().to_pylist()
        if len(lengths) != 1:
            raise PipelineError(
                f"{place} and those after it must be of one size but have lists of "
                f"{listed_names(list(map(str, lengths)))}: write them in one size."
            )
        shape.append(lengths[0])
        column = column.flatten()
    if column.null_count:
        raise PipelineError(
            f"{place} and those after it must hold every value but lack some: leave them out."
        )
    if not (
        pa.types.is_integer(column.type)
        or pa.types.is_floating(column.type)
        or pa.types.is_boolean(column.type)
    ):
        raise PipelineError(
            f"{place} and those after it must hold pictures or numbers but are of type {column.type}: write them so."
        )
    return _numbers(column).reshape(shape)


def _numbers(column: "pa.Array") -> NDArray[Any]:
    """Return numbers as an array, with NaN for what is missing."""
    import pyarrow as pa

    # Arrow's own conversion imports pandas, which takes a third of a second.
    if not column.null_count and not pa.types.is_boolean(column.type):
        return np.from_dlpack(column)
    numbers: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return numbers


def _pixels(batch: "pa.RecordBatch", name: str, done: int) -> NDArray[Any]:
    """Return columns of one pixel each as N x pixels."""
    import pyarrow as pa

    for field, column in zip(batch.schema, batch.columns, strict=True):
        if column.null_count:
            row = done + column.is_valid().to_pylist().index(False)
            raise PipelineError(
                f"{name}: each pixel must have a value but {field.name} in row {row} has none: leave the row out."
            )
        if not (pa.types.is_integer(field.type) or pa.types.is_floating(field.type)):
            raise PipelineError(
                f"{name}: pixels must be numbers but {field.name} is of type {field.type}: correct it."
            )
    values: NDArray[Any] = batch.to_tensor().to_numpy()
    return values


def _labels(column: "pa.Array", place: str, texts: dict[Any, Any]) -> NDArray[Any]:
    """Return labels as numbers or, where they are texts, as objects; what is missing is NaN or None.

    Args:
        column: The labels.
        place: What to call the first of them in an error.
        texts: Gets each text that is met. Equal labels share it: a short column may hold a text many times.
    """
    import pyarrow as pa

    if pa.types.is_dictionary(column.type) and _is_number(column.type.value_type):
        column = column.dictionary_decode()
    if _is_list(column.type):
        return _nested(column, place)
    if _is_number(column.type):
        return _numbers(column)
    if pa.types.is_dictionary(column.type):
        values = np.array([*_texts(column.dictionary, place, texts), None], dtype=object)
        chosen: NDArray[Any] = values[_numbers(column.indices.cast(pa.int64()).fill_null(-1))]
        return chosen
    return np.array(_texts(column, place, texts), dtype=object)


def _is_number(kind: "pa.DataType") -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind))


def _texts(column: "pa.Array", place: str, texts: dict[Any, Any]) -> list[Any]:
    import pyarrow as pa

    kind = getattr(column.type, "storage_type", column.type)
    if pa.types.is_nested(kind) or pa.types.is_run_end_encoded(kind):
        raise PipelineError(
            f"{place} and those after it: labels must be numbers or texts but are of type {kind!s:.100}: write them so."
        )
    found = []
    for value in column:
        text = value.as_py()
        if text not in texts:
            length = len(text) if isinstance(text, str | bytes) else 0
            require_within(
                length,
                LONGEST_LABEL,
                f"{place} and those after it: the characters of a label",
                "give the name of its class",
            )
            texts[text] = text
            require_within(
                len(texts), MOST_CLASSES, f"{place}: the number of classes", "give labels, not measurements"
            )
        found.append(texts[text])
    return found


def named(schema: "pa.Schema") -> "pa.Schema":
    """Return a schema whose names are text; Arrow looks at their bytes only when they are asked for.

    Raises:
        UnicodeDecodeError: A name is no UTF-8.
    """
    _ = schema.names
    return schema


@contextmanager
def intact(name: str) -> Iterator[None]:
    """Turn what Arrow finds damaged in a file into an error of ours.

    Raises:
        PipelineError: The file is damaged.
    """
    try:
        yield
    except PipelineError:
        raise
    # Arrow's errors derive from OSError, ValueError, KeyError and others.
    except Exception as error:
        reason = first_line(error).removesuffix(".")
        raise PipelineError(
            f"{name} must be intact but is not ({reason}): fetch or write it again."
        ) from error
