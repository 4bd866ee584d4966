"""Trial of an S3-compatible store: what the pipeline and MLflow ask of it, on small objects."""

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from components.common.errors import PipelineError
from components.common.storage.s3 import is_store_outage

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# On a cluster the steps may list, read and write here (infra/seaweedfs/identities.json).
PREFIX = "candidates/preflight/"
# All bytes, and ends of lines: what a server or a proxy between rewrites comes back as something else.
CONTENT = bytes(range(256)) + b"\r\n0;chunk-signature=0\r\n\r\n"
STORES = "stores, replaces and lists objects"
# With response checksums `when_required`, boto3 begins to fetch any file, small ones too, by a range of 8 MiB.
FIRST_PART = f"bytes=1-{2**23 - 1}"
PART = "give back a part of an object"
PARTS = "stores and reads them by parts"


@dataclass(frozen=True)
class StoreTrial:
    """What came of a trial.

    Attributes:
        abilities: What the store does, and that it refuses to delete, which a run can do without.
        date: Its clock, as HTTP states it; "" where it states none.
    """

    abilities: tuple[str, ...]
    date: str


def try_store(client: "S3Client", bucket: str) -> StoreTrial:
    """Do once what runs do with a store, and remove what was written.

    Conditional writes are not tried. Nothing asks for them: what must happen once is decided by MLflow, by
    PostgreSQL or by locked files.

    Args:
        client: Client of the store, as `s3_client` makes it.
        bucket: A bucket that is there.

    Raises:
        botocore.exceptions.ClientError: The store refuses one of the other requests.
        botocore.exceptions.BotoCoreError: It does not answer.
        PipelineError: It answers with something else than what it was given.
    """
    key = f"{PREFIX}{uuid4().hex}"
    try:
        for content in (CONTENT[::-1], CONTENT):
            stored = client.put_object(Bucket=bucket, Key=key, Body=content)
        _require(_read(client, bucket, key), CONTENT, "give back what was stored last")
        _require(_read(client, bucket, key, Range=FIRST_PART), CONTENT[1:], PART)
        _require(_listed(client, bucket, key), [key], "list an object as soon as it is stored")
        _store_in_parts(client, bucket, key)
        _require(_read(client, bucket, key), CONTENT, "give back what was stored in parts")
        _require(_read(client, bucket, key, Range=FIRST_PART), CONTENT[1:], PART)
    except BaseException:
        # The first error tells more than one of the clean-up.
        with suppress(Exception):
            client.delete_object(Bucket=bucket, Key=key)
        raise
    date = stored["ResponseMetadata"]["HTTPHeaders"].get("date", "")
    return StoreTrial((STORES, PARTS, _deleted(client, bucket, key)), date)


def _read(client: "S3Client", bucket: str, key: str, **part: Any) -> bytes:
    with client.get_object(Bucket=bucket, Key=key, **part)["Body"] as body:
        return body.read()


def _listed(client: "S3Client", bucket: str, prefix: str) -> list[str]:
    found = client.list_objects_v2(Bucket=bucket, Prefix=prefix)
    return [item["Key"] for item in found.get("Contents", ())]


def _store_in_parts(client: "S3Client", bucket: str, key: str) -> None:
    upload = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    names: Any = {"Bucket": bucket, "Key": key, "UploadId": upload}
    try:
        part = client.upload_part(**names, PartNumber=1, Body=CONTENT)
        parts: Any = [{"ETag": part["ETag"], "PartNumber": 1}]
        client.complete_multipart_upload(**names, MultipartUpload={"Parts": parts})
    except BaseException:
        with suppress(Exception):
            client.abort_multipart_upload(**names)
        raise


def _deleted(client: "S3Client", bucket: str, key: str) -> str:
    from botocore.exceptions import ClientError

    try:
        client.delete_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if is_store_outage(error):
            raise
        return f"deletes none ({error.response['Error']['Code']}), so {key} and what runs no longer need stay"
    _require(_listed(client, bucket, key), [], "list no object that is deleted")
    return "deletes them"


def _require(found: object, expected: object, ability: str) -> None:
    if found != expected:
        raise PipelineError(
            f"the object store must {ability} but answers {found!r:.80} for {expected!r:.80}: "
            "look for a proxy that changes requests, or use another store."
        )
