import errno
import io
import os
import signal
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import psutil
import pytest
from botocore.exceptions import ClientError

from components.common.errors import PipelineError, StatedError, UnavailableError
from pipelines.local.home import Home
from pipelines.local.home_settings import HomeSettings
from pipelines.local.platform import Platform
from pipelines.local.process import Probe, Server, free_port, listening_socket
from pipelines.local.store import (
    SWIFT_SERVER,
    Store,
    embedded_store,
    ensure_named_store,
    external_store,
    swift_plan,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def client(endpoint_url: str, environment: dict[str, str]) -> "S3Client":
    return boto3.client(
        "s3",
        endpoint_url=endpoint_url,
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    )


@pytest.fixture(scope="module")
def s3(platform: Platform) -> "S3Client":
    return client(platform.s3_endpoint_url, platform.environment)


def refused(error: ClientError) -> tuple[str, int]:
    return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]


def test_copy_keeps_content_and_metadata(s3: "S3Client", platform: Platform) -> None:
    bucket = platform.bucket
    s3.put_object(Bucket=bucket, Key="copy/from", Body=b"content", Metadata={"digest": "abc"})
    s3.copy_object(Bucket=bucket, Key="copy/to", CopySource={"Bucket": bucket, "Key": "copy/from"})
    copied = s3.get_object(Bucket=bucket, Key="copy/to")
    assert copied["Body"].read() == b"content"
    assert copied["Metadata"] == {"digest": "abc"}


def test_multipart_upload_is_whole_and_its_parts_go_with_it(
    s3: "S3Client", platform: Platform, home: Home
) -> None:
    def kept() -> int:
        return sum(path.stat().st_size for path in home.store.rglob("*.data"))

    before, content = kept(), os.urandom(20_000_000)
    s3.upload_fileobj(io.BytesIO(content), platform.bucket, "large")
    stored = s3.get_object(Bucket=platform.bucket, Key="large")
    assert "-" in stored["ETag"], "uploaded in one part"
    assert stored["Body"].read() == content
    s3.delete_object(Bucket=platform.bucket, Key="large")
    assert kept() < before + len(content) / 2


def test_ranged_read(s3: "S3Client", platform: Platform) -> None:
    s3.put_object(Bucket=platform.bucket, Key="range", Body=b"0123456789")
    part = s3.get_object(Bucket=platform.bucket, Key="range", Range="bytes=3-5")
    assert (part["Body"].read(), part["ContentRange"]) == (b"345", "bytes 3-5/10")


@pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_wrong_key_is_refused(platform: Platform, variable: str) -> None:
    wrong = client(platform.s3_endpoint_url, platform.environment | {variable: "wrong:key"})
    with pytest.raises(ClientError) as caught:
        wrong.list_objects_v2(Bucket=platform.bucket)
    assert refused(caught.value) == ("SignatureDoesNotMatch", 403)


def test_listens_on_the_loopback_interface_only(platform: Platform) -> None:
    assert platform.s3_endpoint_url.startswith("http://127.0.0.1:")
    listening = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()
    port = int(platform.s3_endpoint_url.rpartition(":")[2])
    assert [line.split()[1] for line in listening if f":{port:04X} 00000000:0000" in line] == [
        f"0100007F:{port:04X}"
    ]


@contextmanager
def running_store(home: Home, code: str = "") -> Iterator[tuple[Server, Store]]:
    """Start the store of a home; `code` is run before it in its process."""
    settings = HomeSettings.of(home)
    with listening_socket(settings.store_port) as listener:
        store = embedded_store(listener.getsockname()[1], settings.secret_access_key)
        plan = swift_plan(home, store, listener)
        if code:
            command = f"import runpy, sys; {code}; runpy.run_path({str(SWIFT_SERVER)!r}, run_name='__main__')"
            plan = replace(plan, command=[sys.executable, "-W", "ignore", "-c", command, *plan.command[-1:]])
        with plan.start() as server:
            server.wait_until_ready(Probe(plan).is_answered)
            yield server, store


def swift_process(server: Server) -> psutil.Process:
    (swift,) = psutil.Process(server.pid).children()
    return swift


def test_nothing_but_the_store_itself_can_be_reached_by_others(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.prepare()
    with running_store(home) as (server, store):
        # The connection that asked whether it is ready may still be closing.
        found = swift_process(server).net_connections("inet")
        (only,) = [connection for connection in found if connection.status == psutil.CONN_LISTEN]
        assert only.laddr == ("127.0.0.1", int(store.endpoint_url.rpartition(":")[2]))
        sockets = list(home.store.glob("*.socket"))
        assert len(sockets) == 3
        assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in sockets} == {0}


def test_data_outlive_a_restart_and_kill_9(tmp_path: Path) -> None:
    home = Home(tmp_path / "any name %41 #é")
    home.prepare()
    with running_store(home) as (_, store):
        s3 = client(store.endpoint_url, store.environment)
        s3.put_object(Bucket=store.bucket, Key="before restart", Body=b"1", Metadata={"n": "1"})
    with running_store(home) as (server, store):
        s3 = client(store.endpoint_url, store.environment)
        s3.put_object(Bucket=store.bucket, Key="before kill", Body=b"2")
        swift_process(server).kill()
        assert server.wait() == 128 + signal.SIGKILL
    with running_store(home) as (_, store):
        s3 = client(store.endpoint_url, store.environment)
        keys = [content["Key"] for content in s3.list_objects_v2(Bucket=store.bucket)["Contents"]]
        assert keys == ["before kill", "before restart"]
        first = s3.get_object(Bucket=store.bucket, Key="before restart")
        assert (first["Body"].read(), first["Metadata"]) == (b"1", {"n": "1"})
        assert s3.get_object(Bucket=store.bucket, Key="before kill")["Body"].read() == b"2"


def test_bucket_is_created_where_it_is_missing(platform: Platform) -> None:
    store = Store(platform.s3_endpoint_url, "another-bucket", platform.environment)
    for _ in range(2):
        ensure_named_store(store)
    names = [
        bucket["Name"]
        for bucket in client(store.endpoint_url, platform.environment).list_buckets()["Buckets"]
    ]
    assert {"another-bucket", platform.bucket} <= set(names)


@pytest.mark.parametrize(
    ("endpoint_url", "reason", "kind"),
    [
        ("http://127.0.0.1:{closed}", "Could not connect to the endpoint", UnavailableError),
        ("127.0.0.1:9000", "Invalid endpoint", PipelineError),
    ],
)
def test_unreachable_store_is_an_error_with_a_way_out(
    endpoint_url: str, reason: str, kind: type[StatedError]
) -> None:
    credentials = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}
    store = Store(endpoint_url.format(closed=free_port(0)), "bucket", credentials)
    with pytest.raises(
        kind, match=f"bucket bucket of the object store at .* but does not .*{reason}.*: correct S3_ENDPOINT"
    ):
        ensure_named_store(store)


def test_store_that_refuses_the_key_is_an_error(platform: Platform) -> None:
    credentials = platform.environment | {"AWS_SECRET_ACCESS_KEY": "wrong"}
    with pytest.raises(PipelineError, match=r"bucket .* must answer but refuses .*403"):
        ensure_named_store(Store(platform.s3_endpoint_url, platform.bucket, credentials))


def test_external_store_comes_from_the_environment() -> None:
    key = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "eu-west-1"}
    url = "https://s3.example.org"
    assert external_store(key) is None
    assert external_store({"S3_ENDPOINT_URL": url} | key) == Store(url, "mnist-pipeline", key)
    assert external_store({"S3_ENDPOINT_URL": url, "S3_BUCKET": "mine"}) == Store(
        url, "mine", {"AWS_DEFAULT_REGION": "us-east-1"}
    )


def test_mlflow_reaches_a_store_as_the_steps_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("no_proxy", "example.org")
    environment = embedded_store(9000, "key").environment
    assert environment["AWS_REQUEST_CHECKSUM_CALCULATION"] == "when_required"
    assert environment["no_proxy"] == environment["NO_PROXY"] == "example.org,127.0.0.1,localhost,::1"


def test_machine_without_swift_is_told_to_name_a_store(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(PipelineError, match=r"needs Linux .* but got darwin: set S3_ENDPOINT_URL"):
        swift_plan(home, embedded_store(9000, "key"), socket.socket())


def test_file_system_without_extended_attributes_is_refused(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(os, "setxattr", unsupported)
    with pytest.raises(
        PipelineError, match=r"needs a file system with extended attributes but .*/store .*--home"
    ):
        swift_plan(home, embedded_store(9000, "key"), socket.socket())


def test_a_full_disk_refuses_writes_and_nothing_else(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.prepare()
    with running_store(home) as (_, store):
        s3 = client(store.endpoint_url, store.environment)
        for key in ("kept", "deleted"):
            s3.put_object(Bucket=store.bucket, Key=key, Body=key.encode())
    # For the store the disk is as full as its reserve is large.
    with running_store(home, "from components.common import bounds; bounds.STORE_RESERVE = 2**60") as (
        _,
        store,
    ):
        s3 = client(store.endpoint_url, store.environment)
        for _ in range(2):
            with pytest.raises(ClientError, match="503|507|SlowDown|ServiceUnavailable"):
                s3.put_object(Bucket=store.bucket, Key="new", Body=b"new")
            assert s3.get_object(Bucket=store.bucket, Key="kept")["Body"].read() == b"kept"
            listed = s3.list_objects_v2(Bucket=store.bucket).get("Contents", [])
            assert {content["Key"] for content in listed} == {"kept", "deleted"}
        s3.delete_object(Bucket=store.bucket, Key="deleted")
        assert [found["Key"] for found in s3.list_objects_v2(Bucket=store.bucket)["Contents"]] == ["kept"]
    with running_store(home) as (_, store):
        s3 = client(store.endpoint_url, store.environment)
        s3.put_object(Bucket=store.bucket, Key="new", Body=b"new")
        assert [found["Key"] for found in s3.list_objects_v2(Bucket=store.bucket)["Contents"]] == [
            "kept",
            "new",
        ]
