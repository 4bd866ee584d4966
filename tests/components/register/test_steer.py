"""Verification, promotion and rollback of real versions; the model's files lie in the embedded store."""

import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import Mock

import numpy as np
import pytest

from components.common.data.spec import MNIST_SPEC
from components.common.errors import PipelineError, of_outage
from components.common.model.classifier import Classifier
from components.common.model.signing import make_signing_key, signing_key, version_digests
from components.register.journal import alias_champion, read_moves, settle
from components.register.publish import publish
from components.register.steer import approve, find_model, find_version, promote, rollback, sign_version
from components.register.verify import verify
from tests.components.register.conftest import ON_EITHER_DATABASE
from tests.linear_models import save_candidate
from tests.records import lineage
from tests.servers import Platform

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mypy_boto3_s3 import S3Client


def _two_versions(client: "MlflowClient", candidate: Path, run_id: str) -> str:
    name = f"steered-{uuid.uuid4().hex}"
    for number, before in ((1, None), (2, "1")):
        publish(candidate, lineage(name, f"run {number}", champion_version=before), run_id=run_id)
    assert alias_champion(client, name) == "2"
    return name


@pytest.fixture
def name(mlflow_client: "MlflowClient", candidate: Path, mlflow_run_id: str) -> str:
    """Two sound versions, the second the champion."""
    return _two_versions(mlflow_client, candidate, mlflow_run_id)


@pytest.fixture(scope="module")
def untouched(platform: Platform, candidate: Path) -> str:
    """The same for tests that change nothing in them."""
    from mlflow import MlflowClient

    with pytest.MonkeyPatch.context() as environment:
        for variable, value in platform.environment.items():
            environment.setenv(variable, value)
        client = MlflowClient()
        return _two_versions(client, candidate, client.create_run("0").info.run_id)


def _key(client: "MlflowClient", name: str, version: str, path: str) -> str:
    model_id = client.get_model_version(name, version).source.removeprefix("models:/")
    return f"mlflow/{client.get_logged_model(model_id).experiment_id}/models/{model_id}/artifacts/{path}"


@ON_EITHER_DATABASE
def test_a_flipped_byte_is_found_and_such_a_version_is_not_promoted(
    mlflow_client: "MlflowClient", name: str, s3_client: "S3Client", platform: Platform, tmp_path: Path
) -> None:
    sound = verify(mlflow_client, name, "1", tmp_path / "sound")
    assert (sound.problems, sound.files) == ((), len(version_digests(sound.directory)))
    assert sound.difference == pytest.approx(0, abs=1e-6)

    key = _key(mlflow_client, name, "1", "data/model.keras")
    content = bytearray(s3_client.get_object(Bucket=platform.bucket, Key=key)["Body"].read())
    content[len(content) // 2] ^= 1
    s3_client.put_object(Bucket=platform.bucket, Key=key, Body=bytes(content))

    assert verify(mlflow_client, name, "1", tmp_path / "flipped").problems == (
        "data/model.keras is changed since",
    )
    for attempt in (
        lambda: promote(mlflow_client, name, "1", "me", ""),
        lambda: rollback(mlflow_client, name, "me", ""),
    ):
        with pytest.raises(
            PipelineError, match=r"version 1 must be what was registered but data/model\.keras is"
        ):
            attempt()
    assert alias_champion(mlflow_client, name) == "2"


def test_a_version_that_takes_grey_images_without_the_channel_is_sound(
    mlflow_client: "MlflowClient", mlflow_run_id: str, tmp_path: Path
) -> None:
    name = f"bare-{uuid.uuid4().hex}"
    (tmp_path / "candidate").mkdir()
    save_candidate(tmp_path / "candidate", MNIST_SPEC, bare=True)
    for number, before in ((1, None), (2, "1")):
        records = lineage(name, f"run {number}", champion_version=before, spec=MNIST_SPEC)
        publish(tmp_path / "candidate", records, run_id=mlflow_run_id)
    sound = verify(mlflow_client, name, "1", tmp_path / "model")
    assert sound.problems == ()
    assert Classifier(sound.directory).spec == MNIST_SPEC
    assert rollback(mlflow_client, name, "me", "") == ("2", "1")


def test_missing_and_added_files_are_found(
    mlflow_client: "MlflowClient", name: str, s3_client: "S3Client", platform: Platform, tmp_path: Path
) -> None:
    s3_client.delete_object(
        Bucket=platform.bucket, Key=_key(mlflow_client, name, "1", "code/served_model.py")
    )
    key = _key(mlflow_client, name, "1", "code/other.py")
    s3_client.put_object(Bucket=platform.bucket, Key=key, Body=b"raise SystemExit")
    assert verify(mlflow_client, name, "1", tmp_path / "model").problems == (
        "code/served_model.py is missing since",
        "code/other.py is added since",
    )


def test_other_answers_are_found(
    mlflow_client: "MlflowClient", untouched: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answer = "components.register.verify.Classifier.probabilities"
    monkeypatch.setattr(answer, lambda _, images: np.eye(10, dtype=np.float32)[len(images) * [0]])
    (problem,) = verify(mlflow_client, untouched, "1", tmp_path / "model").problems
    assert problem.startswith("its answers differ by ")


def test_want_of_memory_is_no_problem_of_a_version(
    mlflow_client: "MlflowClient", untouched: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("keras.saving.load_model", Mock(side_effect=MemoryError))
    with pytest.raises(PipelineError) as raised:
        verify(mlflow_client, untouched, "1", tmp_path / "model")
    assert of_outage(raised.value)


@ON_EITHER_DATABASE
def test_rollback_restores_the_champion_before_and_repeating_it_is_harmless(
    mlflow_client: "MlflowClient", name: str
) -> None:
    assert rollback(mlflow_client, name, "me", "worse in use") == ("2", "1")
    assert rollback(mlflow_client, name, "me", "worse in use") == ("1", "1")
    assert alias_champion(mlflow_client, name) == "1"
    assert promote(mlflow_client, name, "2", "you", "mended")
    assert not promote(mlflow_client, name, "2", "you", "mended")
    assert [(move.action, move.after, move.who) for move in read_moves(mlflow_client, name)] == [
        ("register", "1", "pipeline run run 1"),
        ("register", "2", "pipeline run run 2"),
        ("rollback", "1", "me"),
        ("promote", "2", "you"),
    ]


def test_keys_are_rotated_and_versions_signed_again(
    mlflow_client: "MlflowClient", name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_signing_key(tmp_path / "new.pem", tmp_path / "new.pub")
    old = os.environ["MODEL_PUBLIC_KEYS"]
    monkeypatch.setenv("MODEL_SIGNING_KEY", str(tmp_path / "new.pem"))
    # Both are valid.
    monkeypatch.setenv("MODEL_PUBLIC_KEYS", f"{old}{os.pathsep}{tmp_path / 'new.pub'}")
    assert promote(mlflow_client, name, "1", "me", "signed by the old key")
    sign_version(mlflow_client, name, "2", signing_key())
    assert mlflow_client.get_model_version(name, "2").tags["signing_key"] == signing_key().id
    # The old one is withdrawn.
    monkeypatch.delenv("MODEL_PUBLIC_KEYS")
    with pytest.raises(
        PipelineError, match="of move 2, it is signed by the key .* promote a version instead"
    ):
        rollback(mlflow_client, name, "me", "")
    assert promote(mlflow_client, name, "2", "me", "signed again")
    with pytest.raises(
        PipelineError, match=f"{name} version 1 must be signed by a trusted key but .* not trusted"
    ):
        promote(mlflow_client, name, "1", "me", "")
    assert promote(mlflow_client, name, "1", "me", "", allow_unsigned=True)
    old_moves, new_moves = read_moves(mlflow_client, name)[:2], read_moves(mlflow_client, name)[2:]
    assert all("which is not trusted" in move.problem for move in old_moves)
    assert [move.problem for move in new_moves] == ["", "", ""]


def test_models_are_found_by_name_and_versions_by_number_or_alias(
    mlflow_client: "MlflowClient", untouched: str
) -> None:
    assert find_model(mlflow_client, untouched) == untouched
    assert [find_version(mlflow_client, untouched, given) for given in ("1", "v1", "champion")] == [
        "1",
        "1",
        "2",
    ]
    with pytest.raises(
        PipelineError, match="must have version '9' but has not: choose from 1, 2, challenger"
    ):
        find_version(mlflow_client, untouched, "9")
    with pytest.raises(PipelineError, match="'nothing' is none of them"):
        find_model(mlflow_client, "nothing")


def test_a_version_that_needs_approval_waits_until_somebody_approves_it(
    mlflow_client: "MlflowClient", candidate: Path, mlflow_run_id: str
) -> None:
    name = f"approved-{uuid.uuid4().hex}"

    def publish_next(run: str, before: str | None, approval: str = "required") -> str:
        records = lineage(name, run, champion_version=before, registry__approval=approval)
        return publish(candidate, records, run_id=mlflow_run_id).outcome

    assert publish_next("run 1", None) == f"{name} version 1 waits for approval"
    assert (alias_champion(mlflow_client, name), read_moves(mlflow_client, name)) == ("", [])
    assert find_version(mlflow_client, name, "challenger") == "1"
    # A later run that makes the same weights, and a further attempt at the same step, make no other version.
    for run in ("run 2", "run 1"):
        assert publish_next(run, None) == f"{name} version 1 waits for approval"

    assert approve(mlflow_client, name, "1", "me", "looked at the report")
    assert not approve(mlflow_client, name, "1", "me", "again")
    (move,) = read_moves(mlflow_client, name)
    assert (move.action, move.before, move.after, move.who, move.why, move.problem) == (
        "approve", "", "1", "me", "looked at the report", "",
    )  # fmt: skip
    assert mlflow_client.get_model_version(name, "1").tags["approval"] == "approved"

    assert publish_next("run 3", "1") == f"{name} version 2 waits for approval"
    assert publish_next("run 4", "1", "none") == f"{name} version 3 is the new champion"
    with pytest.raises(PipelineError, match="must still be version 1 but is now 3"):
        approve(mlflow_client, name, "2", "me", "")
    mlflow_client.set_registered_model_alias(name, "champion", "2")
    settle(mlflow_client, name)
    with pytest.raises(PipelineError, match="version 3 must wait for approval but does not"):
        approve(mlflow_client, name, "3", "me", "")
    assert read_moves(mlflow_client, name)[-1].action == "outside"
    assert mlflow_client.get_model_version(name, "2").tags["approval"] == "approved"
