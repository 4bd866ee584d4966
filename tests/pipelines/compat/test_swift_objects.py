from pathlib import Path

import pytest

from components.common.errors import UnavailableError
from components.common.storage.object_store import ObjectStore
from components.common.storage.s3 import s3_client
from pipelines.compat.swift_objects import object_file
from pipelines.local.home import Home
from pipelines.local.platform import Platform
from pipelines.local.store import ACCESS_KEY_ID

ACCOUNT = ACCESS_KEY_ID.partition(":")[0]


def test_the_file_of_an_object_holds_its_latest_content(platform: Platform, home: Home) -> None:
    s3 = s3_client(platform.s3_endpoint_url, platform.environment)
    key = "of tests/ä.json"
    assert object_file(home.store, ACCOUNT, platform.bucket, key) is None
    for content in (b"first", b"second"):
        s3.put_object(Bucket=platform.bucket, Key=key, Body=content)
        file = object_file(home.store, ACCOUNT, platform.bucket, key)
        assert file is not None
        assert file.read_bytes() == content
    s3.delete_object(Bucket=platform.bucket, Key=key)
    assert object_file(home.store, ACCOUNT, platform.bucket, key) is None


def set_time(file: Path, time: str) -> Path:
    """Give an object another time than that of its writing."""
    from swift.obj.diskfile import read_metadata, write_metadata

    write_metadata(str(file), read_metadata(str(file)) | {"X-Timestamp": time})
    return file.rename(file.with_name(f"{time}.data"))


def test_a_replacement_that_swift_drops_after_its_clock_was_set_back_is_told(
    platform: Platform, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in platform.environment.items():
        monkeypatch.setenv(name, value)
    store, key, sent, found = ObjectStore.from_environment(), "of tests/state", tmp_path / "a", tmp_path / "b"
    assert store is not None
    sent.write_bytes(b"first")
    store.upload(sent, key)
    file = object_file(home.store, ACCOUNT, platform.bucket, key)
    assert file is not None
    later = set_time(file, f"{float(file.stem) + 3600:016.5f}")
    sent.write_bytes(b"second")
    with pytest.raises(UnavailableError, match=f"/{key} on .* keeps what it has: set its clock, or wait"):
        store.upload(sent, key)
    assert store.download(key, found)
    assert found.read_bytes() == b"first"
    set_time(later, file.stem)
    store.upload(sent, key)
    assert store.download(key, found)
    assert found.read_bytes() == b"second"
    store.delete(key)
