"""Messages of an Arrow stream, looked at before what they hold is unpacked."""

import struct

# Numbers of fields in the tables of Arrow's format, and the kinds of messages that hold rows.
KIND, HEADER = 1, 2
DATA_OF_DICTIONARY, COMPRESSION = 1, 3
DICTIONARY, ROWS = 2, 3
# How streams said it before the format had a field for it; Arrow still reads them.
OLD_COMPRESSION = b"ARROW:experimental_compression"
OFFSET, SHORT = struct.Struct("<i"), struct.Struct("<H")


def is_compressed(metadata: bytes) -> bool:
    """Return whether the rows or the dictionary in a message are compressed.

    Args:
        metadata: The message without its body, as Arrow's `Message.metadata`.
    """
    message = _followed(metadata, 0)
    kind = _field(metadata, message, KIND)
    if not kind or metadata[kind] not in {DICTIONARY, ROWS}:
        return False
    batch = _followed(metadata, _field(metadata, message, HEADER))
    if metadata[kind] == DICTIONARY:
        batch = _followed(metadata, _field(metadata, batch, DATA_OF_DICTIONARY))
    return bool(_field(metadata, batch, COMPRESSION)) or OLD_COMPRESSION in metadata


def _field(content: bytes, table: int, number: int) -> int:
    """Return where a field of one of FlatBuffers' tables lies; 0 where the table lacks it."""
    fields = table - OFFSET.unpack_from(content, table)[0]
    slot = 4 + 2 * number
    if slot + 2 > SHORT.unpack_from(content, fields)[0]:
        return 0
    offset: int = SHORT.unpack_from(content, fields + slot)[0]
    return table + offset if offset else 0


def _followed(content: bytes, at: int) -> int:
    """Return the place that an offset leads to."""
    return at + int(OFFSET.unpack_from(content, at)[0])
