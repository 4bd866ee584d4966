from pathlib import Path

import pytest

from components.common.errors import PipelineError
from components.common.storage.address import (
    absolute_uri,
    grants_access,
    in_clear,
    looked_up,
    shown,
    without_logins,
)


@pytest.mark.parametrize("uri", ["file:///a/b", "http://host/a", "https://host/a?b=c", "s3://bucket/key"])
def test_a_uri_stays_as_it_is(uri: str) -> None:
    assert absolute_uri(uri) == uri


def test_a_path_becomes_a_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a b").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for address in ("a b", "./a b/", "~/a b", str(tmp_path / "a b")):
        assert absolute_uri(address) == f"{tmp_path.as_uri()}/a%20b"


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("no-such-path", "must be mnist, digits, a path or a URI but .*/no-such-path does not exist"),
        ("gs://bucket/data", "must be a path or a file, http, https or s3 URI but is gs://bucket/data"),
        ("ftp://bob:pw@host/x?y", "URI but is ftp://host/x: correct it"),
        ("~nobody-of-this-name/x", "does not exist"),
        ("a" * 5000, "does not exist"),
        ("a\0b", "does not exist"),
    ],
)
def test_any_other_address_is_refused(address: str, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        absolute_uri(address)


@pytest.mark.parametrize(
    ("uri", "safe"),
    [
        ("https://host/a.npz?X-Amz-Signature=secret", "https://host/a.npz"),
        ("https://host/a.npz", "https://host/a.npz"),
        ("https://bob:secret@host:8443/a.npz#secret", "https://host:8443/a.npz"),
        ("postgresql://optuna:secret@db/optuna?sslmode=require", "postgresql://db/optuna"),
        ("s3://bucket/what?", "s3://bucket/what?"),
        ("s3://key:secret@bucket/what", "s3://bucket/what"),
        ("https://bob:sec/ret@host/a", "https://..."),
        ("https://bob:sec?ret@host/a", "https://..."),
        ("https://[::1]:5000/a", "https://[::1]:5000/a"),
        ("/data/what?", "/data/what?"),
    ],
)
def test_what_grants_access_is_not_shown(uri: str, safe: str) -> None:
    assert shown(uri) == safe
    assert grants_access(uri) == (uri != safe and not uri.startswith("postgresql"))


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ('no "http://bob:pw@host:9/b?list" here', 'no "http://host:9/b?list" here'),
        ("no https://bob:p/w@host, nor s3://key:pw@b/c", "no https://host, nor s3://b/c"),
        ("http://host:9/b and bob@host", "http://host:9/b and bob@host"),
    ],
)
def test_a_login_is_taken_out_of_a_text(text: str, safe: str) -> None:
    assert without_logins(text) == safe


def test_a_fragment_grants_nothing() -> None:
    assert not grants_access("https://host/a#b")


def test_a_variable_may_hold_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_URI", "https://host/a?sig=x")
    monkeypatch.delenv("MNIST_DATA_URI", raising=False)
    assert looked_up("env:DATA_URI") == "https://host/a?sig=x"
    assert looked_up("/data") == "/data"
    with pytest.raises(
        PipelineError, match="MNIST_DATA_URI must hold the address of the data but is not set"
    ):
        looked_up("env:MNIST_DATA_URI")
    with pytest.raises(
        PipelineError, match="must name one of DATA_URI, MNIST_DATA_URI after env: but names 'HOME'"
    ):
        looked_up("env:HOME")


@pytest.mark.parametrize(
    ("address", "readable"),
    [
        ("http://mlflow.example.org/ml", True),
        ("http://192.168.0.9:5000", True),
        ("http://[::2]:5000", True),
        ("https://mlflow.example.org", False),
        ("http://127.0.0.1:5000", False),
        ("http://[::1]:5000", False),
        ("http://localhost", False),
        ("http://mlflow.localhost:80", False),
    ],
)
def test_what_a_network_can_read(address: str, readable: bool) -> None:
    assert in_clear(address) == readable
