from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from components.common.errors import PipelineError
from components.common.model.judgement import Judgement
from components.common.model.kept_candidate import fetch_candidate, forget_candidate, keep_candidate
from components.common.storage.object_store import ObjectStore
from tests.records import judgement, run_plan

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture
def model(tmp_path: Path) -> Path:
    directory = tmp_path / "candidate"
    (directory / "onnx").mkdir(parents=True)
    (directory / "model.keras").write_bytes(b"weights")
    (directory / "onnx" / "model.onnx").write_bytes(b"the same")
    judgement().save(tmp_path)
    return directory


def test_a_candidate_is_kept_until_it_is_forgotten(store: ObjectStore, model: Path, tmp_path: Path) -> None:
    keep_candidate("evaluate", run_plan("one"), model, tmp_path)
    keep_candidate("evaluate", run_plan("another"), model, tmp_path)
    # A later attempt at the same step, with another verdict.
    judgement(verdict="better").save(tmp_path)
    keep_candidate("evaluate", run_plan("one"), model, tmp_path)
    assert len(store.keys("candidates/one/")) == 1

    kept = fetch_candidate("one", tmp_path / "fetched")
    assert kept is not None
    assert kept.plan == run_plan("one")
    assert Judgement.load(kept.evaluation).verdict == "better"
    files = {path.relative_to(kept.model): path.read_bytes() for path in kept.model.rglob("*.*")}
    assert files == {Path("model.keras"): b"weights", Path("onnx/model.onnx"): b"the same"}

    forget_candidate("register", "one")
    assert fetch_candidate("one", tmp_path / "again") is None
    assert store.keys("candidates/another/")


def test_a_kept_candidate_that_was_changed_is_refused(
    store: ObjectStore, s3_client: "S3Client", model: Path, tmp_path: Path
) -> None:
    keep_candidate("evaluate", run_plan("one"), model, tmp_path)
    (key,) = store.keys("candidates/one/")
    s3_client.put_object(Bucket=store.bucket, Key=key, Body=b"other")
    with pytest.raises(PipelineError, match="must have the sha256 of its name but has not"):
        fetch_candidate("one", tmp_path / "fetched")


def test_a_store_that_is_away_does_not_end_the_evaluation(
    store: ObjectStore,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    del store
    monkeypatch.setenv("S3_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("OUTAGE_SECONDS", "0")
    keep_candidate("evaluate", run_plan("one"), model, tmp_path)
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.startswith(
        "[evaluate] the candidate is not kept for `mnist-pipeline models register`: bucket "
    )


@pytest.mark.usefixtures("no_object_store")
def test_without_a_store_nothing_is_kept(model: Path, tmp_path: Path) -> None:
    keep_candidate("evaluate", run_plan("one"), model, tmp_path)
    with pytest.raises(PipelineError, match="the object store of the run must be named"):
        fetch_candidate("one", tmp_path / "fetched")
