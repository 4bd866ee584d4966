from pathlib import Path

import numpy as np
import pytest

from components.common.errors import PipelineError
from components.ingest.npz import read_npz

KEYS = ("images", "labels")


def test_arrays_come_in_the_order_of_the_keys(tmp_path: Path) -> None:
    np.savez_compressed(
        tmp_path / "batch.npz", labels=np.arange(3), other=np.zeros(1), images=np.ones((3, 28, 28))
    )
    images, labels = read_npz(tmp_path / "batch.npz", KEYS, "batch")
    assert images.shape == (3, 28, 28)
    assert labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize("content", [b"", b"PK", b"\x93NUMPY\x01\x00", b"<html></html>"])
def test_a_file_that_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "batch.npz").write_bytes(content)
    with pytest.raises(
        PipelineError, match=f"^batch must be an npz archive but is {len(content)} other bytes: "
    ):
        read_npz(tmp_path / "batch.npz", KEYS, "batch")


def test_missing_arrays_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "batch.npz", images=np.zeros(3), label=np.zeros(3))
    with pytest.raises(PipelineError, match=r"^batch must hold the arrays images, labels but lacks labels: "):
        read_npz(tmp_path / "batch.npz", KEYS, "batch")


def test_python_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "batch.npz", images=np.array([{}]), labels=np.zeros(1))
    with pytest.raises(
        PipelineError,
        match=r"^batch must be an intact npz archive but is not \(Object arrays cannot be",
    ):
        read_npz(tmp_path / "batch.npz", KEYS, "batch")


@pytest.mark.parametrize("seed", range(20))
def test_damage_is_an_error_of_one_line(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "batch.npz"
    np.savez(path, images=np.arange(50), labels=np.arange(50))
    content, chance = np.fromfile(path, np.uint8), np.random.default_rng(seed)
    content[chance.integers(len(content), size=20)] += 1
    content.tofile(path)
    with pytest.raises(PipelineError, match=r"^batch must [^\n]*\.$"):
        read_npz(path, KEYS, "batch")
