from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.common.data.spec import ImageSpec
from components.common.errors import PipelineError
from pipelines.models import sources
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


@pytest.mark.parametrize("reader", [False, True], ids=["alone", "by a pool"])
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: bool
) -> None:
    monkeypatch.setattr(sources, "cores", lambda: 2 if reader else 1)
    missing = str(tmp_path / "missing.png")
    with picture_readers([missing] * (CHUNK + 1)) as pool, pytest.raises(PipelineError, match=missing):
        list(read_sources([missing] * (CHUNK + 1), SPEC, pool))
