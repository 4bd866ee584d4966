"""Messages of Arrow streams that are compressed."""

import io

import pyarrow as pa
import pytest

from components.ingest.arrow_messages import OLD_COMPRESSION, is_compressed


def messages(codec: str | None) -> list[bytes]:
    """Return the messages of a stream without their bodies: its schema, a dictionary, and rows."""
    table = pa.table({"number": [1, 2, 3], "text": pa.array(["a", "b", "a"]).dictionary_encode()})
    content = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=codec)
    with pa.ipc.new_stream(content, table.schema, options=options) as writer:
        writer.write_table(table)
    return [message.metadata.to_pybytes() for message in pa.ipc.MessageReader.open_stream(content.getvalue())]


@pytest.mark.parametrize(("codec", "compressed"), [(None, False), ("lz4", True), ("zstd", True)])
def test_rows_and_dictionaries_tell_whether_they_are_compressed(codec: str | None, compressed: bool) -> None:
    assert [*map(is_compressed, messages(codec))] == [False, compressed, compressed]


def test_streams_of_old_versions_tell_it_by_name() -> None:
    schema, dictionary, rows = (message + OLD_COMPRESSION for message in messages(None))
    assert (is_compressed(schema), is_compressed(dictionary), is_compressed(rows)) == (False, True, True)
