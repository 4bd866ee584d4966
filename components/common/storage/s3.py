"""The client of an S3-compatible server."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DEFAULT_BUCKET = "mnist-pipeline"
CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 3, 30, 3


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
