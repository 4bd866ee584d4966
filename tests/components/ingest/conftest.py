"""Raw data that passes for the genuine MNIST."""

from pathlib import Path

import pytest

from components.common.storage.files import sha256_file
from components.ingest.sources import MNIST_SHA256


@pytest.fixture
def raw_is_mnist(raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the small data pass for the genuine MNIST."""
    for path in raw.iterdir():
        monkeypatch.setitem(MNIST_SHA256, path.name, sha256_file(path))
