from components.common.storage.s3 import s3_client
from pipelines.compat.swift_objects import object_file
from pipelines.local.home import Home
from pipelines.local.platform import Platform
from pipelines.local.store import ACCESS_KEY_ID


def test_the_file_of_an_object_holds_its_latest_content(platform: Platform, home: Home) -> None:
    s3 = s3_client(platform.s3_endpoint_url, platform.environment)
    account = ACCESS_KEY_ID.partition(":")[0]
    key = "of tests/ä.json"
    assert object_file(home.store, account, platform.bucket, key) is None
    for content in (b"first", b"second"):
        s3.put_object(Bucket=platform.bucket, Key=key, Body=content)
        file = object_file(home.store, account, platform.bucket, key)
        assert file is not None
        assert file.read_bytes() == content
    s3.delete_object(Bucket=platform.bucket, Key=key)
    assert object_file(home.store, account, platform.bucket, key) is None
