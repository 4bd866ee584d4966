"""Arrays whose files say what is not so; those that are as numpy writes them are read in the tests of the forms."""

import io
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from components.common.data.npy import NpyFile, npz_members
from components.common.errors import PipelineError, stated


def write_header(path: Path, header: str) -> None:
    """Write an npy file with this header, and a byte after it."""
    size = (len(header) + 1).to_bytes(2, "little")
    path.write_bytes(b"\x93NUMPY\x01\x00" + size + f"{header}\n1".encode())


def test_a_member_that_inflates_to_more_than_it_says_is_not_inflated_further(tmp_path: Path) -> None:
    array = io.BytesIO()
    np.save(array, np.zeros(100_000, np.uint8))
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
    write_header(tmp_path / "a.npy", "-" * 9000)
    with pytest.raises(PipelineError, match="must be an intact array but is not") as caught:
        NpyFile(tmp_path / "a.npy", "a")
    assert stated(caught.value) is caught.value


def test_a_long_list_of_members_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "a.npz", **{f"a{number}": np.arange(5) for number in range(20)})  # type: ignore[arg-type]
    assert NpyFile(tmp_path / "a.npz", "a", "a7.npy").array().tolist() == [0, 1, 2, 3, 4]
    assert len(npz_members(tmp_path / "a.npz")) == 20
    monkeypatch.setattr("components.common.data.npy._ListedFile.most", 20 * 46)
    with pytest.raises(PipelineError, match=r"is not \(its list of members has 1,\d+ bytes\): "):
        NpyFile(tmp_path / "a.npz", "a", "a7.npy")
    assert npz_members(tmp_path / "a.npz") == []


@pytest.mark.parametrize("shape", [f"({10**4000}, {10**4000})", f"({'1, ' * 70})", "(-1,)", "1"])
def test_a_shape_that_no_array_has_is_damage(tmp_path: Path, shape: str) -> None:
    write_header(tmp_path / "a.npy", f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}")
    with pytest.raises(PipelineError, match=r"^a must be an intact array but is not \(.{1,210}\): "):
        NpyFile(tmp_path / "a.npy", "a")
