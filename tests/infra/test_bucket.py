"""The script of the Job `bucket`, against a real store."""

import os
import subprocess
import sys

import pytest

from pipelines.local.platform import Platform
from tests.gateways import Request, gateway
from tests.infra.manifests import INFRA


def create(platform: Platform, bucket: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(INFRA / "base" / "bucket" / "create_bucket.py")]
    given = {**os.environ, **platform.environment, "S3_BUCKET": bucket, **environment}
    return subprocess.run(command, env=given, capture_output=True, text=True, check=False)


def test_the_bucket_is_created_once(platform: Platform) -> None:
    for said in ("created of-the-job\n", "of-the-job is there\n"):
        result = create(platform, "of-the-job")
        assert (result.returncode, result.stdout) == (0, said), result.stderr


def test_a_wrong_key_fails_the_job(platform: Platform) -> None:
    result = create(platform, "of-the-job", AWS_SECRET_ACCESS_KEY="wrong")
    assert result.returncode != 0
    assert "ClientError" in result.stderr


@pytest.mark.parametrize("named", [True, False])
def test_the_bucket_is_created_in_a_region_that_is_named_or_not(platform: Platform, named: bool) -> None:
    def rule(request: Request) -> tuple[int, bytes]:
        if (b"eu-central-1" in request.body) == named:
            return 200, b""
        return 400, b"<Error><Code>IllegalLocationConstraintException</Code></Error>"

    with gateway(rule) as store:
        result = create(platform, "new", S3_ENDPOINT_URL=store.address, AWS_DEFAULT_REGION="eu-central-1")
    assert (result.returncode, result.stdout) == (0, "created new\n"), result.stderr
