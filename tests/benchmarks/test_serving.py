"""The measurement of a server, on a small model."""

import sys
from pathlib import Path

import pytest

from benchmarks.serving import OURS, _measured, running_server
from components.common.data.spec import MNIST_SPEC
from tests.linear_models import save_candidate
from tests.records import prepared, random_split


def test_a_server_is_measured_until_it_is_ended(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    save_candidate(tmp_path / "model", MNIST_SPEC)
    prepared(tmp_path / "test", {"test": random_split(3)})
    found = _measured(OURS, str(tmp_path / "model"), str(tmp_path / "test"), 0.1)
    assert found["rate"] > 0
    assert 0 < found["median"] <= found["slow"]
    assert found["start"] > 0
    assert found["bytes"] > 2**20


def test_a_server_that_ends_is_an_error() -> None:
    with (
        pytest.raises(RuntimeError, match="must answer but does not"),
        running_server([sys.executable, "-c", ""], 1),
    ):
        pass
