from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import JSONFileLoader

from components.common.errors import PipelineError
from components.common.storage.s3 import client_variables, ensure_bucket, s3_client, store_must_answer
from tests.gateways import Request, gateway

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


def test_a_second_client_reads_no_description_again(monkeypatch: pytest.MonkeyPatch) -> None:
    s3_client("http://127.0.0.1:9", CREDENTIALS)
    read: list[str] = []
    monkeypatch.setattr(JSONFileLoader, "load_file", lambda _, path: read.append(path))
    s3_client("http://127.0.0.1:9", CREDENTIALS)
    assert read == []


@pytest.mark.parametrize(
    ("address", "proxies"),
    [
        ("http://127.0.0.1:9", {}),
        ("https://localhost:9", {}),
        ("http://[::1]:9", {}),
        ("http://store:9", None),
        (None, None),
    ],
)
def test_no_proxy_stands_before_the_loopback_interface(
    address: str | None, proxies: dict[str, str] | None
) -> None:
    config: Any = s3_client(address, CREDENTIALS).meta.config
    assert config.proxies == proxies


def test_the_bucket_stands_in_the_name_of_the_host_where_it_is_so_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("S3_ADDRESSING_STYLE", "virtual")
    client = s3_client("http://store:9", CREDENTIALS)
    url = client.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "name"})
    assert url.startswith("http://bucket.store:9/name?")
    assert client_variables("http://store:9")["MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE"] == "virtual"


@pytest.mark.parametrize(("version", "signature"), [("s3v4", "AWS4-HMAC-SHA256 "), ("s3", "AWS key:")])
def test_requests_are_signed_as_it_is_set(
    version: str, signature: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S3_SIGNATURE_VERSION", version)
    with gateway(lambda _: (200, b"")) as store:
        s3_client(store.address, CREDENTIALS).head_bucket(Bucket="b")
        assert store.asked[0].headers["authorization"].startswith(signature)
    assert client_variables("http://store:9")["MLFLOW_EXPERIMENTAL_S3_SIGNATURE_VERSION"] == version


def test_awss_own_file_of_settings_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "config"
    config.write_text("[default]\ns3 =\n  addressing_style = virtual\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    client = s3_client("http://store:9", CREDENTIALS)
    url = client.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": "name"})
    assert url.startswith("http://bucket.store:9/name?")


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
@pytest.mark.parametrize("taken", ["{named}", "unnamed", "named"])
def test_a_bucket_is_made_in_any_region(region: str, taken: str) -> None:
    """AWS takes a region's name except in us-east-1; other stores take it never or always."""
    named = region != "us-east-1" if taken == "{named}" else taken == "named"

    def rule(request: Request) -> tuple[int, bytes]:
        if request.method == "HEAD":
            return 404, b""
        if (region.encode() in request.body) == named:
            return 200, b""
        return 400, b"<Error><Code>IllegalLocationConstraintException</Code></Error>"

    with gateway(rule) as store:
        ensure_bucket(s3_client(store.address, CREDENTIALS | {"AWS_DEFAULT_REGION": region}), "new")
        assert [request.method for request in store.asked][:2] == ["HEAD", "PUT"]


def test_a_bucket_that_another_client_made_meanwhile_is_there() -> None:
    answers = iter([(404, b""), (409, b"<Error><Code>BucketAlreadyOwnedByYou</Code></Error>"), (200, b"")])
    with gateway(lambda _: next(answers)) as store:
        ensure_bucket(s3_client(store.address, CREDENTIALS), "new")
        assert [request.method for request in store.asked] == ["HEAD", "PUT", "HEAD"]


def test_a_private_authority_and_a_session_token_count(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with gateway(lambda _: (200, b""), certificate=certificate) as store:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
        s3_client(store.address, CREDENTIALS | {"AWS_SESSION_TOKEN": "token"}).head_bucket(Bucket="b")
        assert store.asked[0].headers["x-amz-security-token"] == "token"


def test_mlflows_client_too_sends_a_file_as_older_stores_take_it(
    certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default it would send pieces with a checksum behind them over https, which such stores refuse or keep."""
    from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository

    sent = tmp_path / "model"
    sent.write_bytes(b"content")
    with gateway(lambda _: (200, b""), certificate=certificate) as store:
        variables = {**CREDENTIALS, **client_variables(store.address), "AWS_CA_BUNDLE": str(certificate)}
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        S3ArtifactRepository("s3://bucket/files").log_artifact(str(sent))
    (request,) = store.asked
    assert (request.path, request.body) == ("/bucket/files/model", b"content")


def test_the_region_is_named_where_a_store_has_another() -> None:
    answer = 400, b"<Error><Code>AuthorizationHeaderMalformed</Code></Error>"
    with (
        gateway(lambda _: answer) as store,
        pytest.raises(PipelineError, match="set AWS_DEFAULT_REGION to the region of the store"),
        store_must_answer("b", store.address),
    ):
        ensure_bucket(s3_client(store.address, CREDENTIALS), "b")
