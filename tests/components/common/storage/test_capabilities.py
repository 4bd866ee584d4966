from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from components.common.errors import PipelineError
from components.common.storage.capabilities import PARTS, PREFIX, STORES, try_store
from components.common.storage.object_store import ObjectStore
from tests.gateways import Request, Rule, gateway

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

Change = Callable[[dict[str, Any]], None]


def test_a_sound_store_can_do_it_all_and_keeps_nothing_of_it(store: ObjectStore) -> None:
    trial = store.try_out()
    assert trial.abilities == (STORES, PARTS, "deletes them")
    assert parsedate_to_datetime(trial.date)
    assert store.keys(PREFIX) == []


@pytest.mark.parametrize(
    ("operation", "change", "message"),
    [
        ("PutObject", lambda given: given.update(Body=given["Body"] + b"\r\n"), "stored last but answers"),
        ("ListObjectsV2", lambda given: given.update(Prefix="other"), "as soon as it is stored"),
        ("DeleteObject", lambda given: given.update(Key="other"), "no object that is deleted"),
        ("UploadPart", lambda given: given.update(Body=b""), "what was stored in parts"),
        ("GetObject", lambda given: given.pop("Range", None), "a part of an object"),
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


def no_range_beyond_the_end(request: Request) -> tuple[int, bytes] | None:
    return (400, b"<Error><Code>InvalidArgument</Code></Error>") if "range" in request.headers else None


def refusing(method: str, query: str, status: int, code: str) -> Rule:
    answer = status, f"<Error><Code>{code}</Code></Error>".encode()
    return lambda request: answer if request.method == method and query in request.path else None


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        (refusing("PUT", "", 403, "AccessDenied"), "PutObject.* what they may do"),
        (refusing("POST", "uploads", 501, "NotImplemented"), "CreateMultipartUpload"),
        (no_range_beyond_the_end, "InvalidArgument.* GetObject"),
    ],
)
def test_what_a_store_refuses_is_named(store: ObjectStore, refusal: Rule, message: str) -> None:
    with gateway(refusal, store.endpoint) as partial, pytest.raises(PipelineError, match=message):
        ObjectStore(store.bucket, partial.address).try_out()


def test_a_store_that_deletes_nothing_will_do(store: ObjectStore, s3_client: "S3Client") -> None:
    event = "before-parameter-build.s3.DeleteObject"
    denied: Any = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}

    def refused(**_: Any) -> None:
        raise ClientError(denied, "")

    s3_client.meta.events.register_first(event, refused)
    try:
        *_, told = try_store(s3_client, store.bucket).abilities
    finally:
        s3_client.meta.events.unregister(event, refused)
    (kept,) = store.keys(PREFIX)
    assert told == f"deletes none (AccessDenied), so {kept} and what runs no longer need stay"
