import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.common.data.spec import ImageSpec
from components.common.errors import PipelineError
from pipelines.models import sources
from pipelines.models.pictures import Refusal
from pipelines.models.sources import CHUNK, picture_readers, read_sources

SPEC = ImageSpec(8, 10, 1, ("a", "b"))


def test_processes_read_what_this_process_reads_in_the_same_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    for number in range(5 * CHUNK):
        size = (20, 16) if number % 7 == 0 else (8, 10)
        picture = Image.fromarray(random.integers(0, 256, size, dtype=np.uint8))
        picture.save(tmp_path / f"{number:03}.{'jpg' if number % 5 == 0 else 'png'}")
    np.save(tmp_path / "100-array.npy", random.integers(0, 256, (3, 8, 10), dtype=np.uint8))
    (tmp_path / "200-damaged.png").write_bytes(b"no picture")
    monkeypatch.setattr(sources, "cores", lambda: 2)

    alone = list(read_sources([str(tmp_path)], SPEC, None))
    with picture_readers([str(tmp_path)]) as pool:
        assert pool
        shared = list(read_sources([str(tmp_path)], SPEC, pool))

    assert len(alone) == 5 * CHUNK + 4
    assert [name for name, _ in shared] == [name for name, _ in alone]
    for (_, found), (_, expected) in zip(shared, alone, strict=True):
        np.testing.assert_equal(found, expected)


def test_few_files_and_one_core_need_no_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with picture_readers(["a.png"] * CHUNK) as pool:
        assert pool is None
    monkeypatch.setattr(sources, "cores", lambda: 1)
    with picture_readers([str(tmp_path)]) as pool:
        assert pool is None


@pytest.mark.parametrize("name", ["missing.png", "missing.npy", "missing"])
def test_a_path_without_anything_is_a_mistake(tmp_path: Path, name: str) -> None:
    with pytest.raises(PipelineError, match=str(tmp_path / name)):
        list(read_sources([str(tmp_path / name)], SPEC, None))


@pytest.mark.parametrize("shared", [False, True], ids=["alone", "by a pool"])
def test_what_cannot_be_read_is_refused_and_the_rest_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    monkeypatch.setattr(sources, "cores", lambda: 2 if shared else 1)
    if not shared:  # other processes keep the real limit
        monkeypatch.setattr(sources, "LARGEST_IN_MEMORY", 20_000)
    Image.fromarray(np.zeros((8, 10), np.uint8)).save(tmp_path / "good.png")
    np.save(tmp_path / "good.npy", np.zeros((8, 10), np.uint8))
    np.save(tmp_path / "half.npy", np.zeros((8, 10), np.uint8))
    (tmp_path / "half.npy").write_bytes((tmp_path / "half.npy").read_bytes()[:-1])
    np.save(tmp_path / "objects.npy", np.array([{}]))
    (tmp_path / "large.png").write_bytes(bytes(20_001))
    for name in ("pipe.png", "pipe.npy"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "nowhere.png").symlink_to(tmp_path / "gone")
    with picture_readers([str(tmp_path)]) as pool:
        found = {Path(name).name: image for name, image in read_sources([str(tmp_path)], SPEC, pool)}
    assert {name for name, image in found.items() if isinstance(image, np.ndarray)} == {
        "good.png",
        "good.npy",
    }
    reasons = {name: image.reason for name, image in found.items() if isinstance(image, Refusal)}
    assert "must be a regular file" in reasons["pipe.png"] + reasons["nowhere.png"]
    assert "must be a regular file" in reasons["pipe.npy"]
    assert "Python objects" in reasons["objects.npy"]
    assert "must hold 80 bytes after its header but holds 79" in reasons["half.npy"]
    if not shared:
        assert "must be at most 20,000 but is 20,001" in reasons["large.png"]
    assert "No such file" in reasons["nowhere.png"]
