"""Operations on a store: those of the pipeline and of MLflow, and some that neither makes."""

import os
import re
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from subprocess import SubprocessError
from typing import TYPE_CHECKING, Any

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from benchmarks.reliability.command import must_say, quick_run
from components.common.errors import StatedError
from components.common.settings import environment, export, settings
from components.common.storage.files import sha256_file
from components.common.storage.object_store import ObjectStore
from components.common.storage.s3 import ensure_bucket, s3_client
from components.common.tracking.client import mlflow_must_answer, tracking_client
from pipelines.local.home import Home
from pipelines.local.keeper_control import end_servers
from pipelines.local.platform import embedded_platform

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MODEL_BYTES = 64 << 20
# One more than fit into one answer of a list.
MANY = 1001
WRITERS = 8
RUN_SECONDS = 1500
# What botocore says of an answer.
ANSWER = re.compile(r"An error occurred \((?P<code>\w+)\) when calling the (?P<operation>\w+) operation")
FAILURES = (
    StatedError, Boto3Error, BotoCoreError, ClientError, SubprocessError, OSError, RuntimeError, ValueError,
)  # fmt: skip


def tried(operation: Callable[[], str]) -> str:
    """Return what an operation tells, or its error in one line."""
    try:
        return operation()
    except FAILURES as error:
        return told(error)


def told(error: BaseException) -> str:
    """Return an error as a cell of the table; its end says most where it holds the output of a command."""
    text = " ".join(str(error).split())
    answer = ANSWER.search(text)
    return f"**{answer['operation']}: {answer['code']}**" if answer else f"**{text[-300:]}**"


def operations(bucket: str) -> dict[str, str]:
    """Do each operation on the store that the settings name, and return what came of it.

    Args:
        bucket: Name for a bucket, which does not exist yet.
    """
    endpoint = str(settings().s3_endpoint_url)
    client = s3_client(endpoint)
    store = ObjectStore(bucket, endpoint)
    tries: dict[str, Callable[[], str]] = {
        "bucket is made": lambda: _made(client, bucket),
        "what runs ask": lambda: _asked(store),
        "model of 64 MiB": lambda: _model(client, bucket),
        f"list of {MANY}": lambda: _many(store, client),
        "bucket of eu-central-1": lambda: _regional(endpoint, bucket),
        "wrong secret key": lambda: _wrong_key(endpoint, bucket),
        "conditional put": lambda: conditional_put(client, bucket),
        "boto3's own checksums": lambda: default_checksums(client, endpoint, bucket),
    }
    return {name: tried(operation) for name, operation in tries.items()}


def _made(client: "S3Client", bucket: str) -> str:
    for _ in range(2):
        ensure_bucket(client, bucket)
    return "yes"


def _asked(store: ObjectStore) -> str:
    store.try_out()
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "content")
        path.write_bytes(b"content")
        digest = sha256_file(path)
        for _ in range(2):
            store.put_content(path)
        if not store.get_content(digest, Path(scratch, "copy")) or store.has_content("00" * 32):
            raise RuntimeError("an object is not found by its digest")
    return "yes"


def _model(client: "S3Client", bucket: str) -> str:
    with tempfile.TemporaryDirectory() as scratch:
        sent, back = Path(scratch, "sent"), Path(scratch, "back")
        sent.write_bytes(os.urandom(MODEL_BYTES))
        client.upload_file(str(sent), bucket, "model")
        client.download_file(bucket, "model", str(back))
        if sha256_file(sent) != sha256_file(back):
            raise RuntimeError("it came back as another file")
    return "yes"


def _many(store: ObjectStore, client: "S3Client") -> str:
    names = [f"many/{number:04d}" for number in range(MANY)]

    def put(key: str) -> None:
        client.put_object(Bucket=store.bucket, Key=key, Body=b"")

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(put, names))
    if store.keys("many/") != names:
        raise RuntimeError("some are missing")
    return "yes"


def _regional(endpoint: str, bucket: str) -> str:
    client = s3_client(endpoint, environment({"AWS_DEFAULT_REGION": "eu-central-1"}))
    try:
        ensure_bucket(client, f"{bucket}-eu")
    except ClientError as error:
        return f"refused: {error.response['Error']['Code']}"
    return "made"


def _wrong_key(endpoint: str, bucket: str) -> str:
    client = s3_client(endpoint, environment({"AWS_SECRET_ACCESS_KEY": "wrong"}))
    try:
        client.list_objects_v2(Bucket=bucket)
    except ClientError as error:
        return f"refused: {error.response['Error']['Code']}"
    return "taken"


def conditional_put(client: "S3Client", bucket: str) -> str:
    """Tell what comes of writes that ask for a key that is not there: one after the other, then at once."""
    first = _put_new(client, bucket, "once", b"1")
    if first != "stored":
        return f"refused: {first}"
    second = _put_new(client, bucket, "once", b"2")
    kept = client.get_object(Bucket=bucket, Key="once")["Body"].read()
    if kept != b"1":
        return "ignored: the second replaces the first"
    with ThreadPoolExecutor(WRITERS) as pool:
        answers = list(
            pool.map(partial(_put_new, client, bucket, "race"), [b"%d" % n for n in range(WRITERS)])
        )
    others = "/".join(sorted({second, *answers} - {"stored"}))
    won = answers.count("stored")
    return f"kept: {others}" + (
        "" if won == 1 else f"; of {WRITERS} at once {won} are told that they were first"
    )


def _put_new(client: "S3Client", bucket: str, key: str, content: bytes) -> str:
    try:
        client.put_object(Bucket=bucket, Key=key, Body=content, IfNoneMatch="*")
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return f"{status} {error.response['Error']['Code']}"
    return "stored"


def default_checksums(client: "S3Client", endpoint: str, bucket: str) -> str:
    """Tell what a client without this project's settings meets."""
    given: Any = client.meta.config
    config = Config(s3=given.s3, proxies=given.proxies, connect_timeout=3, retries={"total_max_attempts": 1})
    plain = boto3.Session().client("s3", endpoint_url=endpoint, config=config)
    content = os.urandom(9 << 20)
    try:
        plain.put_object(Bucket=bucket, Key="checked", Body=content)
    except ClientError as error:
        return f"refused: {error.response['Error']['Code']}"
    with client.get_object(Bucket=bucket, Key="checked")["Body"] as body:
        return "taken" if body.read() == content else "**stored as a part of the object**"


def mlflow_artifacts(directory: str) -> str:
    """Send a model through the MLflow server that a command starts on the store, and fetch it.

    Args:
        directory: The home of that server, new and empty.
    """
    return tried(lambda: _artifacts(Path(directory)))


def _artifacts(directory: Path) -> str:
    home = Home(directory)
    with embedded_platform(home) as platform:
        export(platform.environment)
        sent = directory / "model.bin"
        sent.write_bytes(os.urandom(MODEL_BYTES))
        client: Any = tracking_client()
        with mlflow_must_answer("a run"):
            run = client.create_run("0").info.run_id
            client.log_artifact(run, str(sent))
            back = Path(client.download_artifacts(run, sent.name, str(home.kfp)))
        same = sha256_file(sent) == sha256_file(back)
    end_servers(home)
    if not same:
        raise RuntimeError("it came back as another file")
    return "yes"


def whole_pipeline(variables: dict[str, str], home: Path) -> str:
    """Run the whole pipeline on the digits and verify what it registered.

    Args:
        variables: Those that name the store, as a user sets them.
        home: New and empty.
    """
    try:
        must_say(home, *quick_run("stores"), seconds=RUN_SECONDS, changes=variables)
        must_say(home, "models", "verify", "champion", "--model", "stores", changes=variables)
    finally:
        end_servers(Home(home))
    return "yes"
