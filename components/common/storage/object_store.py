"""S3-compatible object storage, with content-addressed objects."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.common.errors import PipelineError
from components.common.settings import settings
from components.common.storage.files import sha256_file, written_file

DEFAULT_BUCKET = "mnist-pipeline"
WAYS_OUT = {
    "NoSuchBucket": "create the bucket or set S3_BUCKET",
    "AccessDenied": "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY and what they may do",
    "InvalidAccessKeyId": "check AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "check AWS_SECRET_ACCESS_KEY",
    "403": "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY and what they may do",
}


class ObjectStore:
    """One bucket of an S3-compatible server, or of AWS itself where there is no endpoint.

    Every method raises `PipelineError` when the server cannot be reached, refuses, or has no such bucket.
    """

    def __init__(self, bucket: str, endpoint_url: str | None) -> None:
        import boto3
        from botocore.config import Config

        self.bucket = bucket
        self.endpoint = endpoint_url or "AWS S3"
        config = Config(
            connect_timeout=3,
            read_timeout=30,
            retries={"total_max_attempts": 3, "mode": "standard"},
            s3={"addressing_style": "path"},
            # Stores other than AWS do not all know its newer checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        with self._explained():
            # A session of its own: the default one keeps the credentials that it first saw.
            self._client = boto3.Session().client("s3", endpoint_url=endpoint_url, config=config)

    @classmethod
    def from_environment(cls) -> "ObjectStore | None":
        """The store named by S3_ENDPOINT_URL and S3_BUCKET, either of which will do; None without both."""
        endpoint_url, bucket = settings().s3_endpoint_url, settings().s3_bucket
        if not endpoint_url and not bucket:
            return None
        return cls(bucket or DEFAULT_BUCKET, endpoint_url)

    @classmethod
    def for_uri(cls, uri: str) -> "tuple[ObjectStore, str]":
        """The store and the key that ``s3://bucket/key`` names, at S3_ENDPOINT_URL if that is set."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        if not bucket or not key:
            raise PipelineError(f"an object is named s3://bucket/key but this is {uri}")
        return cls(bucket, settings().s3_endpoint_url), key

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    def keys(self, prefix: str) -> list[str]:
        """The keys that start with `prefix`, sorted."""
        with self._explained():
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
            return sorted(item["Key"] for page in pages for item in page.get("Contents", ()))

    def download(self, key: str, target: Path) -> bool:
        """Copy an object to `target`; False, and no file, where there is no such object."""
        with written_file(target) as partial:
            return self._stream(key, partial)

    def upload(self, path: Path, key: str) -> None:
        """Store a file, whole or not at all, in place of what has this key."""
        with self._explained(), path.open("rb") as content:
            self._client.put_object(Bucket=self.bucket, Key=key, Body=content)

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens where there is none."""
        with self._explained():
            self._client.delete_object(Bucket=self.bucket, Key=key)

    def has_content(self, digest: str) -> bool:
        from botocore.exceptions import ClientError

        with self._explained():
            try:
                self._client.head_object(Bucket=self.bucket, Key=content_key(digest))
            except ClientError as error:
                if error.response["Error"]["Code"] == "404":
                    return False
                raise
            return True

    def put_content(self, path: Path) -> str:
        """Store a file under its SHA-256, unless it is there already, and return its key."""
        from botocore.exceptions import ClientError

        digest = sha256_file(path)
        key = content_key(digest)
        if self.has_content(digest):
            return key
        with self._explained(), path.open("rb") as content:
            try:
                self._client.put_object(Bucket=self.bucket, Key=key, Body=content, IfNoneMatch="*")
            except ClientError as error:
                # Another run stored the same bytes in the meantime.
                if error.response["Error"]["Code"] != "PreconditionFailed":
                    raise
        return key

    def get_content(self, digest: str, target: Path) -> bool:
        """Copy the object with this SHA-256 to `target`; False, and no file, where there is none."""
        key = content_key(digest)
        with written_file(target) as partial:
            if not self._stream(key, partial):
                return False
            if (actual := sha256_file(partial)) != digest:
                raise PipelineError(
                    f"{self.uri(key)} on {self.endpoint}: content must have the sha256 of its name "
                    f"but has {actual}; delete the object"
                )
            return True

    def _stream(self, key: str, target: Path) -> bool:
        with self._explained():
            try:
                body = self._client.get_object(Bucket=self.bucket, Key=key)["Body"]
            except self._client.exceptions.NoSuchKey:
                return False
            with body, target.open("wb") as file:
                shutil.copyfileobj(body, file, 1 << 20)
            return True

    @contextmanager
    def _explained(self) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        where = f"object store {self.endpoint}, bucket {self.bucket}"
        try:
            yield
        except ClientError as error:
            code = error.response["Error"]["Code"]
            way_out = WAYS_OUT.get(code, error.response["Error"].get("Message", "see the server's log"))
            raise PipelineError(f"{where}: refused with {code}; {way_out}") from error
        except (BotoCoreError, ValueError) as error:
            raise PipelineError(
                f"{where}: {error}; start the store, or check S3_ENDPOINT_URL and the AWS_* settings"
            ) from error


def content_key(digest: str) -> str:
    return f"objects/sha256/{digest}"
