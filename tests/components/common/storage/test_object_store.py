import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from components.common.errors import PipelineError, StatedError, UnavailableError
from components.common.storage import s3
from components.common.storage.files import sha256_file
from components.common.storage.object_store import ObjectStore, content_key
from tests.gateways import Request, gateway

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@pytest.fixture
def small_file(tmp_path: Path) -> Path:
    path = tmp_path / "small"
    path.write_bytes(b"content")
    return path


@pytest.mark.usefixtures("no_object_store")
def test_there_is_no_store_without_an_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ObjectStore.from_environment() is None
    monkeypatch.setenv("S3_ENDPOINT_URL", "")
    assert ObjectStore.from_environment() is None


@pytest.mark.usefixtures("no_object_store")
@pytest.mark.parametrize(
    ("environment", "bucket", "endpoint"),
    [
        ({"S3_ENDPOINT_URL": "http://127.0.0.1:9"}, "mnist-pipeline", "http://127.0.0.1:9"),
        ({"S3_ENDPOINT_URL": "http://127.0.0.1:9", "S3_BUCKET": "mine"}, "mine", "http://127.0.0.1:9"),
        ({"S3_BUCKET": "mine"}, "mine", "AWS S3"),
    ],
)
def test_the_environment_names_the_store(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], bucket: str, endpoint: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    store = ObjectStore.from_environment()
    assert store is not None
    assert (store.bucket, store.endpoint) == (bucket, endpoint)


@pytest.mark.parametrize("uri", ["s3://", "s3://bucket", "s3://bucket/", "s3:///key"])
def test_a_uri_names_bucket_and_key(uri: str) -> None:
    with pytest.raises(PipelineError, match=f"must be s3://bucket/key but is {uri}: correct it"):
        ObjectStore.for_uri(uri)


@pytest.mark.parametrize(
    "uri", ["s3://key:c4nary@bucket/a", "s3://c4nary@bucket/a", "s3://key:c4/nary@bucket/a"]
)
def test_a_uri_with_a_login_is_refused_and_not_shown(uri: str) -> None:
    with pytest.raises(
        PipelineError, match="must name bucket and key alone but .* AWS_ACCESS_KEY"
    ) as refused:
        ObjectStore.for_uri(uri)
    assert "c4" not in str(refused.value)


def test_content_is_stored_once_under_its_digest(
    store: ObjectStore, s3_client: "S3Client", small_file: Path
) -> None:
    digest = sha256_file(small_file)
    key = f"objects/sha256/{digest}"
    assert not store.has_content(digest)
    assert store.put_content(small_file) == key
    assert store.has_content(digest)
    first = s3_client.head_object(Bucket=store.bucket, Key=key)["LastModified"]
    assert store.put_content(small_file) == key
    assert s3_client.head_object(Bucket=store.bucket, Key=key)["LastModified"] == first
    assert store.keys("objects/") == [key]


def error_document(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>so it is</Message></Error>".encode()


# What stores are known to refuse, and some to ignore or to answer with 409: nothing may depend on it.
UNCOMMON = ("if-none-match", "if-match", "x-amz-checksum-crc32", "x-amz-trailer")


def test_a_store_without_conditions_and_checksums_will_do(
    store: ObjectStore, small_file: Path, tmp_path: Path
) -> None:
    def rule(request: Request) -> tuple[int, bytes] | None:
        refused = any(name in request.headers for name in UNCOMMON)
        return (501, error_document("NotImplemented")) if refused else None

    with gateway(rule, store.endpoint) as simple:
        found = ObjectStore(store.bucket, simple.address)
        for _ in range(2):
            found.put_content(small_file)
        found.upload(small_file, "state")
        assert found.download("state", tmp_path / "state")
        found.delete("state")
        assert found.keys("") == [content_key(sha256_file(small_file))]


@pytest.mark.parametrize(
    ("status", "code", "kind", "message"),
    [
        (500, "InternalError", UnavailableError, "read the log of the server"),
        (503, "SlowDown", UnavailableError, "SlowDown"),
        (429, "TooManyRequests", UnavailableError, "TooManyRequests"),
        (400, "RequestTimeout", UnavailableError, "RequestTimeout"),
        (409, "ConditionalRequestConflict", UnavailableError, "ConditionalRequestConflict"),
        (403, "RequestTimeTooSkewed", PipelineError, "set the clock of this machine or of the store"),
        (400, "ExpiredToken", PipelineError, "AWS_SESSION_TOKEN"),
        (501, "NotImplemented", PipelineError, "NotImplemented"),
    ],
)
def test_an_outage_is_told_from_a_refusal(
    monkeypatch: pytest.MonkeyPatch, status: int, code: str, kind: type[StatedError], message: str
) -> None:
    monkeypatch.setattr(s3, "ATTEMPTS", 1)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    answer = status, error_document(code)
    with gateway(lambda _: answer) as broken, pytest.raises(kind, match=message):
        ObjectStore("bucket", broken.address).keys("")


def test_content_comes_back(store: ObjectStore, small_file: Path, tmp_path: Path) -> None:
    store.put_content(small_file)
    assert store.get_content(sha256_file(small_file), tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"content"


def test_missing_objects_leave_no_file(store: ObjectStore, tmp_path: Path) -> None:
    assert not store.get_content("00" * 32, tmp_path / "copy")
    assert not store.download("no/such/key", tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []


def test_tampered_content_is_refused(
    store: ObjectStore, s3_client: "S3Client", small_file: Path, tmp_path: Path
) -> None:
    digest = sha256_file(small_file)
    s3_client.put_object(Bucket=store.bucket, Key=f"objects/sha256/{digest}", Body=b"other")
    with pytest.raises(PipelineError, match=f"sha256/{digest} .* must have the sha256 of its name but has"):
        store.get_content(digest, tmp_path / "copy")
    assert list(tmp_path.iterdir()) == [small_file]


def test_keys_are_listed_by_prefix_in_order(store: ObjectStore, s3_client: "S3Client") -> None:
    for key in ("b/2", "b/1", "a/1", "b10"):
        s3_client.put_object(Bucket=store.bucket, Key=key, Body=b"")
    assert store.keys("b/") == ["b/1", "b/2"]
    assert store.keys("c/") == []


def test_an_object_is_found_by_its_uri(store: ObjectStore, s3_client: "S3Client", tmp_path: Path) -> None:
    s3_client.put_object(Bucket=store.bucket, Key="some/key", Body=b"content")
    found, key = ObjectStore.for_uri(store.uri("some/key"))
    assert found.download(key, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"content"


def test_a_missing_bucket_is_named(store: ObjectStore, small_file: Path, tmp_path: Path) -> None:
    store.bucket = "no-such-bucket"
    message = "bucket no-such-bucket .* refuses with .*NoSuchBucket.*: create the bucket or set S3_BUCKET"
    with pytest.raises(PipelineError, match=message):
        store.put_content(small_file)
    with pytest.raises(PipelineError, match=message):
        store.keys("")
    with pytest.raises(PipelineError, match=message):
        store.download("key", tmp_path / "copy")


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_refused_credentials_are_named(name: str, small_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "wrong:key")
    store = ObjectStore.from_environment()
    assert store is not None
    with pytest.raises(
        PipelineError,
        match=f"bucket {store.bucket} of .* at {store.endpoint} must answer but refuses with .* check AWS_",
    ):
        store.keys("")
    with pytest.raises(PipelineError, match="check AWS_"):
        store.put_content(small_file)


@pytest.mark.usefixtures("no_object_store")
def test_an_unreachable_store_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
        with pytest.raises(
            UnavailableError,
            match=f"bucket b of the object store at {endpoint} .*Could not connect .* S3_ENDPOINT",
        ):
            ObjectStore("b", endpoint).keys("")


@pytest.mark.parametrize("port", [1, 99999])
def test_a_password_in_the_address_of_the_store_is_not_shown(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "ATTEMPTS", 1)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    with pytest.raises(StatedError, match="bucket b of the object store at http") as told:
        ObjectStore("b", f"http://alice:c4nary@127.0.0.1:{port}").keys("")
    assert "c4nary" not in str(told.value)
    assert "alice" not in str(told.value)


@pytest.mark.usefixtures("no_object_store")
def test_missing_credentials_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(PipelineError, match=r"bucket b of .*Unable to locate credentials.: .* AWS_\*"):
        ObjectStore("b", "http://127.0.0.1:9").keys("")


def test_an_endpoint_that_is_no_url_is_named() -> None:
    with pytest.raises(PipelineError, match="bucket b of the object store at not-a-url .*Invalid endpoint"):
        ObjectStore("b", "not-a-url")
