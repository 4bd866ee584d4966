"""Create the bucket S3_BUCKET at S3_ENDPOINT_URL unless it is there; the Job `bucket` runs this in the MLflow image."""

import os
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

THERE = {"BucketAlreadyExists", "BucketAlreadyOwnedByYou"}
OF_REGION = {
    "IllegalLocationConstraintException",
    "InvalidLocationConstraint",
    "InvalidRequest",
    "MalformedXML",
    "NotImplemented",
}


def main() -> None:
    bucket = os.environ["S3_BUCKET"]
    config = Config(connect_timeout=5, read_timeout=30, retries={"total_max_attempts": 5})
    client = boto3.client("s3", endpoint_url=os.environ["S3_ENDPOINT_URL"], config=config)
    region = {"CreateBucketConfiguration": {"LocationConstraint": client.meta.region_name}}
    # AWS takes no name for us-east-1 and needs that of any other region; other stores have rules of their own.
    unnamed: dict[str, Any] = {}
    first, second = (unnamed, region) if client.meta.region_name == "us-east-1" else (region, unnamed)
    try:
        try:
            client.create_bucket(Bucket=bucket, **first)
        except ClientError as error:
            if error.response["Error"]["Code"] not in OF_REGION:
                raise
            client.create_bucket(Bucket=bucket, **second)
        print(f"created {bucket}")
    except ClientError as error:
        if error.response["Error"]["Code"] not in THERE:
            raise
        # Somebody else's bucket of that name would be refused here.
        client.list_objects_v2(Bucket=bucket, MaxKeys=1)
        print(f"{bucket} is there")


if __name__ == "__main__":
    main()
