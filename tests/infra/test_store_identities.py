"""What each identity of the object store may do, decided as SeaweedFS 4.34 does (CanDo in auth_credentials.go)."""

import json
from fnmatch import fnmatchcase

import pytest

from components.common.storage.capabilities import PREFIX
from pipelines.models.request_logger import ABOUT_FILE
from tests.infra.manifests import INFRA

BUCKET, MODEL = "mnist-pipeline", "mlflow/1/models/m-1/artifacts/model.keras"


def identities() -> dict[str, list[str]]:
    known = json.loads((INFRA / "seaweedfs" / "identities.json").read_text())["identities"]
    return {identity["name"]: identity["actions"] for identity in known}


def can(actions: list[str], action: str, bucket: str, key: str = "") -> bool:
    """Whether the server lets through an action on an object, on those below a prefix, or on a bucket (no key)."""
    target = bucket + (f"/{key}" if key else "")
    for allowed in actions:
        names = (action, "Admin")
        if "*" in allowed and any(fnmatchcase(f"{name}:{target}", allowed) for name in names):
            return True
        if allowed in {action, "Admin"} | {f"{name}:{bucket}" for name in names}:
            return True
    return False


@pytest.mark.parametrize(
    ("name", "action", "bucket", "key", "expected"),
    [
        ("steps", "List", BUCKET, "labelled/mnist/", True),
        ("steps", "Read", BUCKET, "labelled/mnist/1.npz", True),
        ("steps", "Write", BUCKET, "labelled/mnist/1.npz", False),
        ("steps", "Read", BUCKET, "objects/sha256/ab/abcd", True),
        ("steps", "Write", BUCKET, "objects/sha256/ab/abcd", True),
        ("steps", "Write", BUCKET, "checkpoints/mnist-1.npz", True),
        ("steps", "Read", BUCKET, MODEL, False),
        ("steps", "Write", BUCKET, MODEL, False),
        ("steps", "List", BUCKET, "mlflow/", False),
        ("steps", "Write", "mlpipeline", "v2/artifacts/x", False),
        ("steps", "Admin", BUCKET, "", False),
        ("monitor", "List", BUCKET, "requests/2026-11-28/", True),
        ("monitor", "Read", BUCKET, "requests/labels/1.csv", True),
        ("monitor", "Write", BUCKET, "requests/2026-11-28/1.npz", False),
        ("monitor", "Read", BUCKET, "labelled/mnist/1.npz", False),
        ("monitor", "Write", BUCKET, "labelled/mnist/1.npz", True),
        ("monitor", "Write", BUCKET, "objects/sha256/ab/abcd", False),
        ("monitor", "Read", BUCKET, MODEL, False),
        ("serve", "Write", BUCKET, "requests/2026-11-28/1.npz", True),
        ("serve", "Write", BUCKET, f"requests/{ABOUT_FILE}", True),
        ("serve", "List", BUCKET, "requests/labels/", False),
        ("serve", "Read", BUCKET, "requests/2026-11-28/1.npz", False),
        ("serve", "Write", BUCKET, "labelled/mnist/1.npz", False),
        ("mlflow", "Write", BUCKET, MODEL, True),
        ("mlflow", "List", BUCKET, "mlflow/1/", True),
        ("mlflow", "Read", BUCKET, "objects/sha256/ab/abcd", False),
        ("mlflow", "Write", BUCKET, "labelled/mnist/1.npz", False),
        ("mlflow", "Admin", BUCKET, "", False),
        ("artifacts", "Write", "mlpipeline", "v2/artifacts/mnist-pipeline/1/train/model", True),
        ("artifacts", "Write", "mlpipeline", "pipelines/1", False),
        ("artifacts", "Read", BUCKET, MODEL, False),
        ("bucket", "Admin", BUCKET, "", True),
        ("bucket", "Admin", "mlpipeline", "", False),
    ],
)
def test_what_an_identity_may_do(name: str, action: str, bucket: str, key: str, expected: bool) -> None:
    assert can(identities()[name], action, bucket, key) is expected


@pytest.mark.parametrize("action", ["List", "Read", "Write"])
def test_steps_may_try_the_store_out(action: str) -> None:
    assert can(identities()["steps"], action, BUCKET, f"{PREFIX}3f2a")


def test_no_identity_is_the_administrator_or_anonymous() -> None:
    assert set(identities()) == {"bucket", "mlflow", "steps", "monitor", "serve", "artifacts"}
    for actions in identities().values():
        assert all(":" in action for action in actions)
