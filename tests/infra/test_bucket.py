"""The script of the Job `bucket`, against a real store."""

import os
import subprocess
import sys

from pipelines.local.platform import Platform
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
