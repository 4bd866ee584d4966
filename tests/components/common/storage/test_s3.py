from typing import Any

import pytest

from components.common.storage.s3 import s3_client

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_SESSION_TOKEN": "",
    "AWS_DEFAULT_REGION": "eu-west-1",
}


def test_given_credentials_replace_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of the environment")
    client = s3_client("http://127.0.0.1:9", CREDENTIALS)
    url = client.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "name"})
    assert url.startswith("http://127.0.0.1:9/bucket/name?")
    assert "Credential=key%2F" in url or "AWSAccessKeyId=key&" in url
    assert client.meta.region_name == "eu-west-1"


@pytest.mark.parametrize(("address", "proxies"), [("http://127.0.0.1:9", {}), ("http://store:9", None)])
def test_no_proxy_stands_before_the_loopback_interface(address: str, proxies: dict[str, str] | None) -> None:
    config: Any = s3_client(address, CREDENTIALS).meta.config
    assert config.proxies == proxies
