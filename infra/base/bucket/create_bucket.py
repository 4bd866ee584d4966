"""Create the bucket S3_BUCKET at S3_ENDPOINT_URL unless it is there; the Job `bucket` runs this in the MLflow image."""

import os

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError


def main() -> None:
    bucket = os.environ["S3_BUCKET"]
    config = Config(connect_timeout=5, retries={"total_max_attempts": 5}, s3={"addressing_style": "path"})
    client = boto3.client("s3", endpoint_url=os.environ["S3_ENDPOINT_URL"], config=config)
    try:
        client.create_bucket(Bucket=bucket)
        print(f"created {bucket}")
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"BucketAlreadyExists", "BucketAlreadyOwnedByYou"}:
            raise
        # Somebody else's bucket of that name would be refused here.
        client.list_objects_v2(Bucket=bucket, MaxKeys=1)
        print(f"{bucket} is there")


if __name__ == "__main__":
    main()
