from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from components.common.errors import PipelineError
from components.common.storage.capabilities import PREFIX, try_store
from components.common.storage.object_store import ObjectStore
from tests.gateways import Request, gateway

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Change = Callable[[dict[str, Any]], None]


def test_a_sound_store_can_do_it_all_and_keeps_nothing_of_it(store: ObjectStore) -> None:
    assert len(store.try_out()) == 2
    assert store.keys(PREFIX) == []


@pytest.mark.parametrize(
    ("operation", "change", "message"),
    [
        ("PutObject", lambda given: given.update(Body=given["Body"] + b"\r\n"), "stored last but answers"),
        ("ListObjectsV2", lambda given: given.update(Prefix="other"), "as soon as it is stored"),
        ("DeleteObject", lambda given: given.update(Key="other"), "no object that is deleted"),
        ("UploadPart", lambda given: given.update(Body=b""), "in parts"),
        ("GetObject", lambda given: given.pop("Range", None), "read parts of them"),
    ],
)
def test_a_store_that_does_something_else_is_told(
    store: ObjectStore, s3_client: "S3Client", operation: str, change: Change, message: str
) -> None:
    event = f"before-parameter-build.s3.{operation}"

    def changed(params: dict[str, Any], **_: Any) -> None:
        change(params)

    s3_client.meta.events.register_first(event, changed)
    try:
        with pytest.raises(PipelineError, match=message):
            try_store(s3_client, store.bucket)
    finally:
        s3_client.meta.events.unregister(event, changed)


@pytest.mark.parametrize(
    ("method", "query", "answer", "message"),
    [
        ("PUT", "", (403, b"<Error><Code>AccessDenied</Code></Error>"), "PutObject.* what they may do"),
        ("DELETE", "", (403, b"<Error><Code>AccessDenied</Code></Error>"), "DeleteObject.* what they may do"),
        ("POST", "uploads", (501, b"<Error><Code>NotImplemented</Code></Error>"), "CreateMultipartUpload"),
    ],
)
def test_what_a_store_refuses_is_named(
    store: ObjectStore, method: str, query: str, answer: tuple[int, bytes], message: str
) -> None:
    def rule(request: Request) -> tuple[int, bytes] | None:
        return answer if request.method == method and query in request.path else None

    with gateway(rule, store.endpoint) as partial, pytest.raises(PipelineError, match=message):
        ObjectStore(store.bucket, partial.address).try_out()
