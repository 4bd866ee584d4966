"""The client of an S3-compatible server."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from components.common.errors import PipelineError, UnavailableError, is_outage_status
from components.common.settings import LOOPBACK, settings
from components.common.storage.address import shown, without_logins

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DEFAULT_BUCKET = "mnist-pipeline"
CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 3, 30, 3
CHECK_KEYS = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY and what they may do"
CHECK_REGION = "set AWS_DEFAULT_REGION to the region of the store"
WAYS_OUT = {
    "NoSuchBucket": "create the bucket or set S3_BUCKET",
    "404": "create the bucket or set S3_BUCKET",
    # A question about a bucket is answered without a reason; that of a store with a region of its own is the region.
    "400": CHECK_REGION,
    "AuthorizationHeaderMalformed": CHECK_REGION,
    "AccessDenied": CHECK_KEYS,
    "403": CHECK_KEYS,
    "InvalidAccessKeyId": "check AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "check AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": "get new credentials, with their AWS_SESSION_TOKEN",
    "RequestTimeTooSkewed": "set the clock of this machine or of the store",
}
UNNAMED_REGIONS = {None, "us-east-1", "aws-global"}
OF_REGION = {
    "IllegalLocationConstraintException",
    "InvalidLocationConstraint",
    "InvalidRequest",
    "MalformedXML",
    "NotImplemented",
}
# botocore's name of what a session reads descriptions with.
LOADER = "data_loader"
# For clients that others make. Stores other than AWS do not all know its newer checksums.
CHECKSUMS = dict.fromkeys(
    ("AWS_REQUEST_CHECKSUM_CALCULATION", "AWS_RESPONSE_CHECKSUM_VALIDATION"), "when_required"
)
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
    from botocore.session import get_session

    loopback = urlsplit(endpoint_url or "").hostname in LOOPBACK
    style: Any = settings().s3_addressing_style
    version: Any = settings().s3_signature_version
    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
        # What is not given here comes from AWS's own files of settings.
        s3={"addressing_style": style} if style else None,
        signature_version=version,
        proxies={} if loopback else None,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    given = credentials or {}
    # A new session, because the default session keeps the credentials that it read first.
    session = get_session()
    session.register_component(LOADER, _loader())
    return boto3.Session(botocore_session=session).client(
        "s3",
        endpoint_url=endpoint_url,
        aws_access_key_id=given.get("AWS_ACCESS_KEY_ID"),
        aws_secret_access_key=given.get("AWS_SECRET_ACCESS_KEY"),
        aws_session_token=given.get("AWS_SESSION_TOKEN") or None,
        region_name=given.get("AWS_DEFAULT_REGION"),
        config=config,
    )


@cache
def _loader() -> object:
    """Return what reads the descriptions of AWS's services, and keeps them: each time it takes a tenth of a second."""
    from botocore.session import get_session

    return get_session().get_component(LOADER)


def client_variables(endpoint_url: str) -> dict[str, str]:
    """Return the variables by which MLflow's client of a store does as `s3_client`."""
    given = {
        "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE": settings().s3_addressing_style,
        "MLFLOW_EXPERIMENTAL_S3_SIGNATURE_VERSION": settings().s3_signature_version,
    }
    set_ = {name: value for name, value in given.items() if value}
    return {"MLFLOW_S3_ENDPOINT_URL": endpoint_url, **CHECKSUMS, **set_}


def ensure_bucket(client: "S3Client", bucket: str) -> None:
    """Create a bucket where it is missing.

    A region other than us-east-1 has to be named, us-east-1 must not be, and other stores have rules of their own.

    Raises:
        botocore.exceptions.ClientError: The store refuses.
    """
    from botocore.exceptions import ClientError

    region: Any = client.meta.region_name
    named = {"CreateBucketConfiguration": {"LocationConstraint": region}}
    attempts: list[dict[str, Any]] = [{}, named] if region in UNNAMED_REGIONS else [named, {}]
    try:
        client.head_bucket(Bucket=bucket)
    except ClientError as missing:
        if missing.response["Error"]["Code"] != "404":
            raise
        try:
            client.create_bucket(Bucket=bucket, **attempts[0])
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in OF_REGION:
                client.create_bucket(Bucket=bucket, **attempts[1])
            # Another client was faster; one of somebody else is refused by the second question.
            elif code in {"BucketAlreadyExists", "BucketAlreadyOwnedByYou"}:
                client.head_bucket(Bucket=bucket)
            else:
                raise


def is_store_outage(error: Exception) -> bool:
    """Return whether an error of a client tells of a store that is away, busy or broken."""
    from botocore import exceptions

    if isinstance(error, exceptions.ClientError):
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return error.response["Error"]["Code"] in OUTAGES or is_outage_status(status)
    of_network = (exceptions.ConnectionError, exceptions.HTTPClientError, exceptions.IncompleteReadError)
    return isinstance(error, of_network) and not isinstance(error, exceptions.SSLError)


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

    where = f"bucket {bucket} of the object store at {shown(endpoint)} must answer but"
    try:
        yield
    except exceptions.ClientError as error:
        if is_store_outage(error):
            raise UnavailableError(f"{where} cannot now ({error}): read the log of the server.") from error
        advice = way_out or WAYS_OUT.get(error.response["Error"]["Code"], "read the log of the server")
        raise PipelineError(f"{where} refuses with {error}: {advice}.") from error
    except (exceptions.BotoCoreError, ValueError) as error:
        kind = UnavailableError if is_store_outage(error) else PipelineError
        advice = way_out or "start the store, or check S3_ENDPOINT_URL and AWS_*"
        raise kind(f"{where} does not ({without_logins(str(error))}): {advice}.") from error
