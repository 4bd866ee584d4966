"""S3-compatible object storage, with content-addressed objects."""

import shutil
from contextlib import AbstractContextManager
from pathlib import Path

from components.common.errors import PipelineError, UnavailableError
from components.common.settings import settings
from components.common.storage.address import shown
from components.common.storage.capabilities import StoreTrial, try_store
from components.common.storage.files import sha256_file, written_file
from components.common.storage.s3 import DEFAULT_BUCKET, s3_client, store_must_answer


class ObjectStore:
    """One bucket of an S3-compatible server, or of AWS itself where there is no endpoint.

    Every method raises `UnavailableError` when the server cannot be reached or is busy or broken, and `PipelineError`
    when it refuses or has no such bucket.
    """

    def __init__(self, bucket: str, endpoint_url: str | None) -> None:
        self.bucket = bucket
        self.endpoint = shown(endpoint_url) if endpoint_url else "AWS S3"
        with self._explained():
            self._client = s3_client(endpoint_url)

    @classmethod
    def from_environment(cls) -> "ObjectStore | None":
        """Return the store that the settings name by an address, a bucket or both; None without both."""
        endpoint_url, bucket = settings().s3_endpoint_url, settings().s3_bucket
        if not endpoint_url and not bucket:
            return None
        return cls(bucket or DEFAULT_BUCKET, endpoint_url)

    @classmethod
    def for_uri(cls, uri: str) -> "tuple[ObjectStore, str]":
        """Return the store and the key that `s3://bucket/key` names; the settings give the address."""
        if shown(uri) != uri:
            raise PipelineError(
                f"{shown(uri)} must name bucket and key alone but holds a user or a password: set "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in its place."
            )
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        if not bucket or not key:
            raise PipelineError(f"the address of an object must be s3://bucket/key but is {uri}: correct it.")
        return cls(bucket, settings().s3_endpoint_url), key

    def uri(self, key: str) -> str:
        """Return the address of an object."""
        return f"s3://{self.bucket}/{key}"

    def keys(self, prefix: str) -> list[str]:
        """Return the keys that start with `prefix`, sorted."""
        return sorted(self.sizes(prefix))

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return the bytes of the objects whose keys start with `prefix`, by key."""
        with self._explained():
            pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
            return {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", ())}

    def download(self, key: str, target: Path) -> bool:
        """Copy an object to `target`; return False, and write no file, where there is no such object."""
        with written_file(target) as partial:
            return self._stream(key, partial)

    def upload(self, path: Path, key: str) -> None:
        """Store a file in place of the object with this key; no other client sees a part of it."""
        with self._explained(), path.open("rb") as content:
            answer = self._client.put_object(Bucket=self.bucket, Key=key, Body=content)
        # So Swift answers, as if all were well, where its clock was set back and the object is of a later time.
        if not answer.get("ETag"):
            raise UnavailableError(
                f"{self.uri(key)} on {self.endpoint} must be replaced but the store keeps what it has: set its clock, "
                "or wait until it is past the time of that object."
            )

    def delete(self, key: str) -> None:
        """Remove an object, where there is one."""
        with self._explained():
            self._client.delete_object(Bucket=self.bucket, Key=key)

    def try_out(self) -> StoreTrial:
        """Do once what runs do with the store, and return what came of it.

        Raises:
            PipelineError: It cannot do something; also where it has no such bucket.
        """
        with self._explained():
            return try_store(self._client, self.bucket)

    def has_content(self, digest: str) -> bool:
        """Return whether there is an object with this SHA-256."""
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
        """Store a file under its SHA-256, unless it is there already, and return its key.

        Of two writers at once each stores the same bytes. A condition that forbids the second is no gain, and not
        every store knows it.
        """
        digest = sha256_file(path)
        key = content_key(digest)
        if not self.has_content(digest):
            self.upload(path, key)
        return key

    def get_content(self, digest: str, target: Path) -> bool:
        """Copy the object with this SHA-256 to `target`; return False, and write no file, where there is none."""
        key = content_key(digest)
        with written_file(target) as partial:
            if not self._stream(key, partial):
                return False
            if (actual := sha256_file(partial)) != digest:
                raise PipelineError(
                    f"{self.uri(key)} on {self.endpoint} must have the sha256 of its name but has {actual}: "
                    "delete the object."
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

    def _explained(self) -> AbstractContextManager[None]:
        return store_must_answer(self.bucket, self.endpoint)


def content_key(digest: str) -> str:
    """Return the key of the object with this SHA-256."""
    return f"objects/sha256/{digest}"
