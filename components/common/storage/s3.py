"""The client of an S3-compatible server."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from components.common.errors import PipelineError, UnavailableError, is_outage_status

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DEFAULT_BUCKET = "mnist-pipeline"
CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 3, 30, 3
CHECK_KEYS = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY and what they may do"
WAYS_OUT = {
    "NoSuchBucket": "create the bucket or set S3_BUCKET",
    "404": "create the bucket or set S3_BUCKET",
    "AccessDenied": CHECK_KEYS,
    "403": CHECK_KEYS,
    "InvalidAccessKeyId": "check AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "check AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": "get new credentials, with their AWS_SESSION_TOKEN",
    "RequestTimeTooSkewed": "set the clock of this machine or of the store",
}
# Answers of status 400 or 409 by which a store asks to be asked again.
OUTAGES = {
    "ConditionalRequestConflict",
    "OperationAborted",
    "RequestTimeout",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
}


def s3_client(endpoint_url: str | None, credentials: Mapping[str, str] | None = None) -> "S3Client":
    """Return a client that gives up within seconds.

    Args:
        endpoint_url: Address of the server; None for AWS S3.
        credentials: `AWS_*` variables to use in place of those of this process.

    Raises:
        botocore.exceptions.BotoCoreError: The credentials are incomplete.
        ValueError: The address is no URL.
    """
    import boto3
    from botocore.config import Config

    loopback = (endpoint_url or "").startswith("http://127.0.0.1:")
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
        s3={"addressing_style": "path"},
        proxies={} if loopback else None,
        # Stores other than AWS do not all know its newer checksums.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    given = credentials or {}
    # A new session, because the default session keeps the credentials that it read first.
    return boto3.Session().client(
        "s3",
        endpoint_url=endpoint_url,
        aws_access_key_id=given.get("AWS_ACCESS_KEY_ID"),
        aws_secret_access_key=given.get("AWS_SECRET_ACCESS_KEY"),
        aws_session_token=given.get("AWS_SESSION_TOKEN") or None,
        region_name=given.get("AWS_DEFAULT_REGION"),
        config=config,
    )


@contextmanager
def store_must_answer(bucket: str, endpoint: str, way_out: str = "") -> Iterator[None]:
    """Turn an error of the client into one line.

    Args:
        bucket: The bucket.
        endpoint: Where the server is, in words.
        way_out: Advice, by default what the error suggests.

    Raises:
        UnavailableError: The server cannot be reached, or is busy or broken.
        PipelineError: It refuses, or the address or the credentials cannot be used.
    """
    from botocore import exceptions

    where = f"bucket {bucket} of the object store at {endpoint} must answer but"
    try:
        yield
    except exceptions.ClientError as error:
        code = error.response["Error"]["Code"]
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if code in OUTAGES or is_outage_status(status):
            raise UnavailableError(f"{where} cannot now ({error}): read the log of the server.") from error
        advice = way_out or WAYS_OUT.get(code, "read the log of the server")
        raise PipelineError(f"{where} refuses with {error}: {advice}.") from error
    except (exceptions.BotoCoreError, ValueError) as error:
        of_network = (exceptions.ConnectionError, exceptions.HTTPClientError, exceptions.IncompleteReadError)
        outage = isinstance(error, of_network) and not isinstance(error, exceptions.SSLError)
        kind = UnavailableError if outage else PipelineError
        advice = way_out or "start the store, or check S3_ENDPOINT_URL and AWS_*"
        raise kind(f"{where} does not ({error}): {advice}.") from error
