import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from components.common.errors import PipelineError
from components.common.storage.object_store import ObjectStore
from components.monitor.result import Monitoring
from components.monitor.retraining import LABELLED_FILE, claim_retraining, keep_labelled, release_retraining
from components.monitor.rules import Rules
from components.monitor.window import parse_time

if TYPE_CHECKING:
    from mlflow import MlflowClient


def drifted(since: str = "2026-11-27", model: str = "digits-cnn") -> Monitoring:
    return Monitoring(
        model=model,
        version="3",
        dataset="digits",
        since=parse_time(since),
        until=parse_time("2026-11-28"),
        requests=500,
        others=0,
        labelled=2,
        examples=300,
        rules=Rules(),
        verdict="drift",
        findings=[],
    )


@pytest.fixture
def model(mlflow_client: "MlflowClient") -> str:
    """A name in the registry that nobody else uses."""
    assert mlflow_client is not None
    return f"watched-{uuid.uuid4().hex}"


def test_of_many_who_find_the_same_window_one_retrains(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    owners = [f"host-{number}" for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        claimed = list(
            pool.map(lambda owner: claim_retraining(drifted(model=model), tmp_path, owner), owners)
        )
    assert claimed.count(True) == 1
    (winner,) = (owner for owner, mine in zip(owners, claimed, strict=True) if mine)
    told = f"{winner} has started one for this window; delete the registered model {model}.v3."
    assert told in capsys.readouterr().out
    # A second attempt of the same run, another window, and a claim that was taken back.
    assert claim_retraining(drifted(model=model), tmp_path, winner)
    assert claim_retraining(drifted("2026-11-26", model), tmp_path, "other")
    release_retraining(drifted(model=model))
    assert claim_retraining(drifted(model=model), tmp_path, "other")


def test_the_retraining_gets_the_labelled_requests(
    model: str, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S3_BUCKET", store.bucket)
    images = np.arange(3 * 16, dtype=np.uint8).reshape(3, 4, 4, 1)
    keep_labelled(tmp_path, images, np.array([1, -1, 0]))
    assert claim_retraining(drifted(model=model), tmp_path, "me")
    (key,) = store.keys("labelled/digits/")
    assert key.endswith("requests-v3-20261127T000000Z-20261128T000000Z.npz")
    assert store.download(key, tmp_path / "batch.npz")
    with np.load(tmp_path / "batch.npz") as batch:
        np.testing.assert_array_equal(batch["images"], images[[0, 2]])
        assert batch["labels"].tolist() == [1, 0]
    keep_labelled(tmp_path, images, np.full(3, -1))
    assert not (tmp_path / LABELLED_FILE).exists()


def test_labelled_requests_need_a_store(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_labelled(tmp_path, np.zeros((1, 4, 4, 1), np.uint8), np.array([1]))
    for name in ("S3_BUCKET", "S3_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(PipelineError, match="go to the object store"):
        claim_retraining(drifted(model=model), tmp_path, "me")
