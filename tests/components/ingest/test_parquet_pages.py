"""Bounds of Parquet files, by the headers of their pages."""

import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.common.bounds import LARGEST_IN_MEMORY
from components.common.errors import PipelineError
from components.ingest import parquet_pages
from components.ingest.form import Place
from components.ingest.parquet_pages import _chunks, _pages, _struct, bounded_reads

CODECS = ["none", "snappy", "gzip", "zstd", "brotli", "lz4"]
ROWS = 5000


def write(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


def reads(path: Path, *columns: str) -> list[tuple[Sequence[int], int]]:
    return bounded_reads(Place(path, path.as_uri()), pq.ParquetFile(path).metadata, columns)


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_pages_are_found_as_they_were_written(
    tmp_path: Path, codec: str, version: str, dictionary: bool
) -> None:
    numbers = np.random.default_rng(0).integers(0, 300, (ROWS, 3))
    columns = {
        "number": numbers[:, 0],
        "text": [f"text {number}" for number in numbers[:, 1]],
        "missing": [None if number % 2 else number for number in numbers[:, 2].tolist()],
        "list": numbers.tolist(),
    }
    path = write(
        tmp_path / "set.parquet",
        columns,
        compression=codec,
        data_page_version=version,
        use_dictionary=dictionary,
        data_page_size=1000,
        row_group_size=2000,
        write_page_checksum=True,
    )
    metadata = pq.ParquetFile(path).metadata
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        chunks = _chunks(content)
        assert len(chunks) == metadata.num_row_groups
        for group, found in enumerate(chunks):
            assert len(found) == metadata.num_columns
            for at, chunk in enumerate(found):
                told = metadata.row_group(group).column(at)
                start = told.dictionary_page_offset if told.has_dictionary_page else told.data_page_offset
                assert (chunk.start, chunk.size) == (start, told.total_compressed_size)
                assert chunk.packing == (told.compression if codec in {"none", "snappy"} else "")
                pages = _pages(content, chunk)
                assert pages.values == told.num_values
                assert 0 < pages.largest <= told.total_uncompressed_size


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("small", [0, parquet_pages.SMALL_PAGE])
def test_texts_that_a_dictionary_repeats_are_read_few_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str, small: int
) -> None:
    path = write(tmp_path / "set.parquet", {"image": [b"x" * 1000] * ROWS}, compression=codec)
    monkeypatch.setattr(parquet_pages, "LARGEST_IN_MEMORY", 10_000)
    monkeypatch.setattr(parquet_pages, "SMALL_PAGE", small)
    [(groups, rows)] = reads(path, "image")
    assert (list(groups), 1 <= rows < 10) == ([0], True)
    batches = list(pq.ParquetFile(path).iter_batches(rows, groups))
    assert sum(map(len, batches)) == ROWS
    assert max(batch.nbytes for batch in batches) <= 10_000


def test_numbers_are_bounded_by_their_type_and_other_columns_do_not_count(tmp_path: Path) -> None:
    columns = {"pixel0": np.arange(ROWS), "pixel1": np.zeros(ROWS, np.uint8), "note": ["x" * 9999] * ROWS}
    path = write(tmp_path / "set.parquet", columns)
    assert reads(path, "pixel0", "pixel1") == [(range(1), LARGEST_IN_MEMORY // 12)]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("column", [np.zeros(ROWS), [b"x" * 100] * ROWS, [[0] * 9] * ROWS])
def test_pages_that_unpack_to_more_than_the_bound_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str, column: Any
) -> None:
    path = write(tmp_path / "set.parquet", {"image": column}, compression=codec, use_dictionary=False)
    monkeypatch.setattr(parquet_pages, "LARGEST_AT_ONCE", 10_000)
    monkeypatch.setattr(parquet_pages, "SMALL_PAGE", 0)
    with pytest.raises(
        PipelineError, match="bytes of the pages that are unpacked together must be at most 10,000 but is "
    ):
        reads(path, "image")


def test_lists_are_read_by_groups_of_rows_that_have_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_pages, "LARGEST_AT_ONCE", 20_000)
    columns = {"image": [[[0] * 9] * 12] * 40, "label": [0] * 40}
    path = write(tmp_path / "set.parquet", columns)
    with pytest.raises(
        PipelineError, match="bytes of the lists in a group of rows must be at most 20,000 but is 34,560"
    ):
        reads(path, "image", "label")
    path = write(tmp_path / "set.parquet", columns, row_group_size=20)
    assert [list(groups) for groups, _ in reads(path, "image", "label")] == [[0], [1]]
    assert [list(groups) for groups, _ in reads(path, "label")] == [[0, 1]]


@pytest.mark.parametrize(
    ("header", "fields"),
    [
        (b"\x15\x00\x15\x50\x15\x0a\x00", {(5, 1): 0, (5, 2): 40, (5, 3): 5}),
        # Not in order, and a field of another type than Arrow looks for.
        (b"\x05\x04\x50\x05\x02\x00\x06\x04\x00\x00", {(5, 1): 0, (5, 2): 40, (6, 2): 0}),
        (
            b"\x19\x2c\x15\x02\x00\x00\x19\x28\x01x\x00\x19\x21\x01\x02\x00",
            {(9, 1): [{(5, 1): 1}, {}], (9, 2): [], (9, 3): []},
        ),
        (
            b"\x5c\x15\x0e\x18\x03abc\x17\x00\x00\x00\x00\x00\x00\x00\x00\x11\x12\x13\x07\x00\x00",
            {(12, 5): {(5, 1): 7, (8, 2): None, (7, 3): None, (3, 6): None}},
        ),
    ],
)
def test_headers_are_read_as_arrow_reads_them(header: bytes, fields: Any) -> None:
    assert _struct(header, 0) == (fields, len(header))


@pytest.mark.parametrize(
    "header",
    [
        b"\x15" + b"\xff" * 20,
        b"\x15\xff\xff\xff\xff\xff\x00\x00",
        b"\x05\xff\xff\xff\x7f\x00\x00",
        b"\x05\x00\x00\x00",
        b"\x19\x10\x00",
        b"\x19\xf8\xff\xff\xff\x7f" + b"\x00" * 9,
        b"\x10\x00",
        b"\x15",
        b"\x18\x7f",
    ],
)
def test_headers_that_could_hide_a_size_are_refused(header: bytes) -> None:
    with pytest.raises((ValueError, IndexError)):
        _struct(header, 0)
