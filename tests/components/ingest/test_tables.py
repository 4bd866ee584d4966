import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image

from components.common.errors import PipelineError
from components.common.plan.run import DataPlan
from components.ingest.form import Place
from components.ingest.tables import Table, table_form


@pytest.mark.parametrize("count", [0, 2, 4])
def test_pictures_and_labels_of_other_numbers_are_refused(tmp_path: Path, count: int) -> None:
    """Arrow reads a damaged file's columns, one by one, in the lengths that they have."""
    file = io.BytesIO()
    Image.new("L", (4, 4)).save(file, "PNG")
    held = {"image": [file.getvalue()] * count, "label": [0] * 3}

    def batches(columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        yield pa.RecordBatch.from_pydict({column: held[column] for column in columns})

    schema = pa.schema({"image": pa.binary(), "label": pa.int64()})
    with pytest.raises(
        PipelineError,
        match=f"^it must hold (pictures|a picture for each of its 3 labels) but holds ({count}|none): ",
    ):
        table_form(
            "parquet",
            Place(tmp_path, "it"),
            {"train": Table("it", schema, batches)},
            DataPlan(),
            scratch=tmp_path,
        )
