"""Arrays whose files say what is not so; those that are as numpy writes them are read in the tests of the forms."""

import io
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from components.common.data.npy import NpyFile
from components.common.errors import PipelineError, stated


def test_a_member_that_inflates_to_more_than_it_says_is_not_inflated_further(tmp_path: Path) -> None:
    array = io.BytesIO()
    np.save(array, np.zeros(100, np.uint8))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", array.getvalue() + bytes(4 * 2**20))
    content = (tmp_path / "a.npz").read_bytes()
    size = content.index(b"PK\x01\x02") + 24
    said = len(array.getvalue()).to_bytes(4, "little")
    (tmp_path / "a.npz").write_bytes(content[:size] + said + content[size + 4 :])
    file = NpyFile(tmp_path / "a.npz", "a", "a.npy")
    tracemalloc.start()
    try:
        with pytest.raises(PipelineError, match="a must be an intact array but is not"):
            file.array()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20


def test_a_single_value_has_no_rows(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(()))
    with pytest.raises(PipelineError, match="a must hold rows but is a single value: write it again"):
        next(NpyFile(tmp_path / "a.npy", "a").chunks(1))


def test_a_header_that_python_has_no_room_for_is_damage_and_no_outage(tmp_path: Path) -> None:
    header = "-" * 9000 + "\n"
    (tmp_path / "a.npy").write_bytes(
        b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()
    )
    with pytest.raises(PipelineError, match="must be an intact array but is not") as caught:
        NpyFile(tmp_path / "a.npy", "a")
    assert stated(caught.value) is caught.value
