from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from components.common.data.dataset import Split
from components.common.data.idx import write_idx
from components.common.data.raw_data import (
    read_part,
    write_part,
)
from components.common.data.source import LabelledBatch, SourceInfo
from components.common.errors import PipelineError


def test_parts_come_back_as_they_were(tmp_path: Path, make_split: Callable[..., Split]) -> None:
    write_part(tmp_path, "train", make_split(20))
    write_part(tmp_path, "test", make_split(10, seed=1))
    assert {path.name for path in tmp_path.iterdir()} == {
        "train-images-idx3-ubyte",
        "train-labels-idx1-ubyte",
        "t10k-images-idx3-ubyte",
        "t10k-labels-idx1-ubyte",
    }
    np.testing.assert_array_equal(read_part(tmp_path, "train").images, make_split(20).images)
    np.testing.assert_array_equal(read_part(tmp_path, "test").labels, make_split(10).labels)


def test_a_part_whose_files_do_not_match_is_refused(tmp_path: Path, make_split: Callable[..., Split]) -> None:
    write_part(tmp_path, "train", make_split(20))
    write_idx(tmp_path / "train-labels-idx1-ubyte", make_split(19).labels)
    with pytest.raises(
        PipelineError, match=r"train-labels-idx1-ubyte: each image must have a label .* 20 .* 19"
    ):
        read_part(tmp_path, "train")


def test_the_source_comes_back_as_it_was(tmp_path: Path) -> None:
    info = SourceInfo(
        name="small",
        source="file:///small",
        version="v1",
        files={"train-images-idx3-ubyte": "00"},
        counts={"train": 20, "test": 10},
        batches=(LabelledBatch("labelled/small/a.npz", "11", used=1, duplicates=2, in_test=3),),
        digest="22",
    )
    info.save(tmp_path)
    assert SourceInfo.load(tmp_path) == info
