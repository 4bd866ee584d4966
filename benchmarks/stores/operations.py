"""What a store does with the requests of the pipeline and of MLflow, and with some that they do not make."""

import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.reliability.command import must_say, quick_run
from components.common.errors import StatedError, first_line
from components.common.settings import environment, exported
from components.common.storage.files import sha256_file
from components.common.storage.object_store import ObjectStore
from components.common.storage.s3 import ensure_bucket, s3_client
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


def tried(operation: Callable[[], str]) -> str:
    """Return what an operation tells, or its error in one line."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return operation()
    except (StatedError, Boto3Error, BotoCoreError, ClientError, RuntimeError, ValueError) as error:
        return f"**{first_line(error)[:300]}**"


def operations(variables: dict[str, str], bucket: str) -> dict[str, str]:
    """Do each operation in a bucket of its own, and return what came of it.

    Args:
        variables: Those that name the store, as a user sets them.
        bucket: Name for the bucket, which does not exist yet.
    """
    endpoint = variables["S3_ENDPOINT_URL"]
    with exported({**variables, "S3_BUCKET": bucket}):
        client = s3_client(endpoint)
        store = ObjectStore(bucket, endpoint)
        told = {"bucket is made": tried(lambda: _made(client, bucket))}
        told |= {
            "what runs ask": tried(lambda: _asked(store)),
            "model of 64 MiB": tried(lambda: _model(client, bucket)),
            f"list of {MANY}": tried(lambda: _many(store, client)),
            "bucket of eu-central-1": tried(lambda: _regional(variables, bucket)),
            "wrong secret key": tried(lambda: _wrong_key(variables, bucket)),
            "conditional put": tried(lambda: _conditional(client, bucket)),
            "boto3's own checksums": tried(lambda: _checksums(client, endpoint, bucket)),
        }
    return told


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


def _regional(variables: dict[str, str], bucket: str) -> str:
    client = s3_client(variables["S3_ENDPOINT_URL"], {**variables, "AWS_DEFAULT_REGION": "eu-central-1"})
    ensure_bucket(client, f"{bucket}-eu")
    return "yes"


def _wrong_key(variables: dict[str, str], bucket: str) -> str:
    from botocore.exceptions import ClientError

    client = s3_client(variables["S3_ENDPOINT_URL"], {**variables, "AWS_SECRET_ACCESS_KEY": "wrong"})
    try:
        client.list_objects_v2(Bucket=bucket)
    except ClientError as error:
        return f"refused: {error.response['Error']['Code']}"
    return "taken"


def _conditional(client: "S3Client", bucket: str) -> str:
    """Tell what comes of writes that ask for a key that is not there: one after the other, then at once."""
    first, second = (_put_new(client, bucket, "once", content) for content in (b"1", b"2"))
    kept = client.get_object(Bucket=bucket, Key="once")["Body"].read()
    if first != "stored":
        return f"refused: {first}"
    if kept != b"1":
        return "ignored: the second replaces the first"
    with ThreadPoolExecutor(WRITERS) as pool:
        answers = list(pool.map(partial(_put_new, client, bucket, "race"), [b"%d" % n for n in range(WRITERS)]))
    others = "/".join(sorted({second, *answers} - {"stored"}))
    won = answers.count("stored")
    return f"kept: {others}" + ("" if won == 1 else f"; of {WRITERS} at once {won} are told that they were first")


def _put_new(client: "S3Client", bucket: str, key: str, content: bytes) -> str:
    from botocore.exceptions import ClientError

    try:
        client.put_object(Bucket=bucket, Key=key, Body=content, IfNoneMatch="*")
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return f"{status} {error.response['Error']['Code']}"
    return "stored"


def _checksums(client: "S3Client", endpoint: str, bucket: str) -> str:
    """Tell what a client without this project's settings meets."""
    import boto3
    from botocore.config import Config
    from botocore.exceptions import ClientError

    config: Any = Config(
        s3=client.meta.config.s3,
        proxies=client.meta.config.proxies,
        connect_timeout=3,
        retries={"total_max_attempts": 1},
    )
    plain = boto3.Session().client("s3", endpoint_url=endpoint, config=config)
    content = os.urandom(9 << 20)
    try:
        plain.put_object(Bucket=bucket, Key="checked", Body=content)
    except ClientError as error:
        return f"refused: {error.response['Error']['Code']}"
    with client.get_object(Bucket=bucket, Key="checked")["Body"] as body:
        return "taken" if body.read() == content else "**stored as a part of the object**"


def artifacts(variables: dict[str, str], directory: Path) -> str:
    """Send a model through the MLflow server that a command starts on the store, and fetch it."""
    home = Home(directory)
    with exported(variables), embedded_platform(home) as platform, exported(platform.environment):
        from mlflow import MlflowClient

        client = MlflowClient(platform.tracking_uri)
        run = client.create_run("0").info.run_id
        sent = directory / "model.bin"
        sent.write_bytes(os.urandom(MODEL_BYTES))
        client.log_artifact(run, str(sent))
        back = Path(client.download_artifacts(run, sent.name, str(directory / "kfp")))
        same = sha256_file(sent) == sha256_file(back)
    end_servers(home)
    if not same:
        raise RuntimeError("it came back as another file")
    return "yes"


def whole_pipeline(variables: dict[str, str], home: Path) -> str:
    """Run the whole pipeline on the digits and verify what it registered."""
    given = {name: value for name, value in environment().items() if name.endswith("_PROXY")}
    changes = {**given, **variables}
    try:
        must_say(home, *quick_run("stores"), seconds=RUN_SECONDS, changes=changes)
        must_say(home, "models", "verify", "champion", "--name", "stores", changes=changes)
    finally:
        end_servers(Home(home))
    return "yes"
