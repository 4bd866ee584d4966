"""What the pipeline and MLflow ask of an S3-compatible store, tried on small objects."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from components.common.errors import PipelineError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX = "trial-of-the-store/"
# All bytes, and ends of lines: what a server or a proxy between rewrites comes back as something else.
CONTENT = bytes(range(256)) + b"\r\n0;chunk-signature=0\r\n\r\n"
# MLflow reads and writes files of more than 8 MiB by parts; its client is boto3's own.
PARTS = "store files in parts and read parts of them, as MLflow does with more than 8 MiB"


def try_store(client: "S3Client", bucket: str) -> tuple[str, ...]:
    """Do once what runs do with a store, and remove what was written.

    Conditional writes are not tried. Nothing asks for them: what must happen once is decided by MLflow, by
    PostgreSQL or by locked files.

    Args:
        client: Client of the store, as `s3_client` makes it.
        bucket: A bucket that is there.

    Returns:
        What the store can do, in words.

    Raises:
        botocore.exceptions.ClientError: The store refuses one of the requests.
        botocore.exceptions.BotoCoreError: It does not answer.
        PipelineError: It answers with something else than what it was given.
    """
    key = f"{PREFIX}{uuid4().hex}"
    with _removed(client, bucket, key):
        for content in (CONTENT[::-1], CONTENT):
            client.put_object(Bucket=bucket, Key=key, Body=content)
        _require(_read(client, bucket, key), CONTENT, "give back what was stored last")
        _require(_listed(client, bucket, key), [key], "list an object as soon as it is stored")
    _require(_listed(client, bucket, key), [], "list no object that is deleted")
    with _removed(client, bucket, key):
        _store_in_parts(client, bucket, key)
        _require(_read(client, bucket, key), CONTENT, PARTS)
        _require(_read(client, bucket, key, Range="bytes=7-261"), CONTENT[7:262], PARTS)
    return ("store, replace, list and delete objects", PARTS)


@contextmanager
def _removed(client: "S3Client", bucket: str, key: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        # The first error tells more than that of the clean-up.
        with suppress(Exception):
            client.delete_object(Bucket=bucket, Key=key)
        raise
    client.delete_object(Bucket=bucket, Key=key)


def _read(client: "S3Client", bucket: str, key: str, **part: Any) -> bytes:
    with client.get_object(Bucket=bucket, Key=key, **part)["Body"] as body:
        return body.read()


def _listed(client: "S3Client", bucket: str, prefix: str) -> list[str]:
    found = client.list_objects_v2(Bucket=bucket, Prefix=prefix)
    return [item["Key"] for item in found.get("Contents", ())]


def _store_in_parts(client: "S3Client", bucket: str, key: str) -> None:
    upload = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    try:
        part = client.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=CONTENT)
        parts = [{"ETag": part["ETag"], "PartNumber": 1}]
        client.complete_multipart_upload(
            Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
        )
    except BaseException:
        with suppress(Exception):
            client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload)
        raise


def _require(found: object, expected: object, ability: str) -> None:
    if found != expected:
        raise PipelineError(
            f"the object store must {ability} but answers {found!r:.80} for {expected!r:.80}: "
            "look for a proxy that changes requests, or use another store."
        )
