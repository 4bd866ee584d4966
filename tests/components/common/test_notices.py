import os

import pytest

from components.common.notices import without_notices

NOTICES = (
    b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
    b"I0000 00:00:1795947141.496987   13006 port.cc:153] oneDNN custom operations are on.\n"
)


def test_notices_are_left_out_and_all_else_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    with without_notices():
        os.write(2, NOTICES + b"E0000 00:00:1795947141.4   13006 cuda.cc:1] no device\n")
    os.write(2, b"later\n")

    assert capfd.readouterr().err == "E0000 00:00:1795947141.4   13006 cuda.cc:1] no device\nlater\n"
