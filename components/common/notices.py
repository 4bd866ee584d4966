"""Notices that TensorFlow prints while it is imported, whatever its level of messages (2.21)."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

# Messages before its logging is set up, and the sentence that announces them.
NOTICE = re.compile(rb"(I\d{4} \d|WARNING: All log messages before absl::InitializeLog\(\))")


@contextmanager
def without_notices() -> Iterator[None]:
    """Keep TensorFlow's notices from stderr; other lines follow at the end."""
    with tempfile.TemporaryFile() as kept:
        stderr = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            kept.seek(0)
            for line in kept:
                if not NOTICE.match(line):
                    os.write(2, line)
