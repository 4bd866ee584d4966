import base64
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from components.common.errors import PipelineError
from components.common.model.signing import (
    SignatureError,
    Statement,
    TrustedKeys,
    UnknownKeyError,
    key_id,
    make_signing_key,
    read_statement,
    signed,
    signing_key,
    trust_digest,
    trusted_keys,
    version_digests,
)

STATEMENT = Statement("stripes-cnn", "run", {"MLmodel": "1" * 64, "data/model.keras": "2" * 64})
# Of a directory with the file `weights` (content `7`), by the public tool: `model_signing sign key`, version 1.1.1.
PUBLIC = Path(__file__).parents[3] / "data" / "signed_by_model_signing.pem"
BUNDLE = PUBLIC.with_suffix(".sig")


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with two pairs of keys, `old` and `new`, of which the settings name the old one."""
    for name in ("old", "new"):
        make_signing_key(tmp_path / f"{name}.pem", tmp_path / f"{name}.pub")
    monkeypatch.setenv("MODEL_SIGNING_KEY", str(tmp_path / "old.pem"))
    monkeypatch.delenv("MODEL_PUBLIC_KEYS", raising=False)
    return tmp_path


def test_a_statement_comes_back_as_it_was_signed(keys: Path) -> None:
    content = signed(STATEMENT, signing_key())
    assert read_statement(content, trusted_keys(), "stripes-cnn") == STATEMENT
    assert stat.S_IMODE((keys / "old.pem").stat().st_mode) == 0o600
    with pytest.raises(SignatureError, match="its signature is of a version of 'stripes-cnn'"):
        read_statement(content, trusted_keys(), "other-cnn")
    with pytest.raises(UnknownKeyError, match="it is not signed"):
        read_statement(None, trusted_keys())


def test_while_keys_are_rotated_both_are_trusted_and_then_the_old_one_is_not(
    keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_old = signed(STATEMENT, signing_key())
    monkeypatch.setenv("MODEL_SIGNING_KEY", str(keys / "new.pem"))
    monkeypatch.setenv("MODEL_PUBLIC_KEYS", f"{keys / 'old.pub'}{os.pathsep}{keys / 'new.pub'}")
    by_new, both = signed(STATEMENT, signing_key()), trust_digest()
    assert read_statement(by_old, trusted_keys()) == read_statement(by_new, trusted_keys()) == STATEMENT

    # A Secret or a ConfigMap gives the keys themselves.
    monkeypatch.setenv("MODEL_SIGNING_KEY", (keys / "new.pem").read_text())
    monkeypatch.setenv("MODEL_PUBLIC_KEYS", (keys / "new.pub").read_text())
    assert read_statement(by_new, trusted_keys()) == STATEMENT
    assert trust_digest() != both
    old = key_id((keys / "old.pub").read_bytes())[:12]
    with pytest.raises(UnknownKeyError, match=f"it is signed by the key '{old}', which is not trusted"):
        read_statement(by_old, trusted_keys())


def test_the_signatures_of_the_public_tool_are_read(tmp_path: Path) -> None:
    keys = TrustedKeys({PUBLIC.read_bytes(): "test"})
    (tmp_path / "weights").write_text("7")
    assert read_statement(BUNDLE.read_bytes(), keys) == Statement("tool", "", version_digests(tmp_path))


def _payload(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], object]:
    def changed(bundle: dict[str, Any]) -> None:
        envelope = bundle["dsseEnvelope"]
        statement = json.loads(base64.b64decode(envelope["payload"]))
        change(statement)
        envelope["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()

    return changed


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_payload(lambda found: found["subject"][0].update(name="other")), "is not of what it lies beside"),
        (_payload(lambda found: found["predicate"]["resources"].pop()), "is not of what it lies beside"),
        (
            lambda bundle: bundle["dsseEnvelope"].update(payloadType="text/plain"),
            "cannot be read .*Input should be",
        ),
        (lambda bundle: bundle["dsseEnvelope"].update(signatures=[]), "cannot be read .*at least 1 item"),
        (lambda bundle: bundle.pop("verificationMaterial"), "cannot be read .*Field required"),
        (lambda bundle: bundle["dsseEnvelope"].update(payload="A"), "cannot be read .*[Bb]ase64"),
    ],
)
def test_a_changed_signature_is_refused_with_a_clause(
    keys: Path, change: Callable[[dict[str, Any]], object], reason: str
) -> None:
    del keys
    bundle = json.loads(signed(STATEMENT, signing_key()))
    change(bundle)
    with pytest.raises(SignatureError, match=f"^its signature {reason}") as refused:
        read_statement(json.dumps(bundle).encode(), trusted_keys())
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"\0", b"[" * 100_000, b"{}", b"{" + b" " * 2**22 + b"}"])
def test_any_other_file_is_no_signature(keys: Path, content: bytes) -> None:
    del keys
    with pytest.raises(SignatureError, match="^its signature (cannot be read|has more than)"):
        read_statement(content, trusted_keys())


def test_a_key_that_is_missing_or_of_another_kind_is_one_line(
    keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = generate_private_key(SECP384R1())
    (keys / "other.pem").write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    for name, message in {
        "other.pem": r"other\.pem must hold a key on the curve P-256 .* \(it is of another kind\): make one",
        "old.pub": r"old\.pub must hold a key on the curve P-256 in PEM",
        "none.pem": r"MODEL_SIGNING_KEY must name keys that can be read but .*none\.pem cannot be \(No such file",
    }.items():
        monkeypatch.setenv("MODEL_SIGNING_KEY", str(keys / name))
        with pytest.raises(PipelineError, match=message):
            signing_key()
    monkeypatch.delenv("MODEL_SIGNING_KEY")
    with pytest.raises(PipelineError, match="must be signed but MODEL_SIGNING_KEY is not set: set it"):
        signing_key()
    monkeypatch.setenv("MODEL_PUBLIC_KEYS", str(keys / "other.pem"))
    with pytest.raises(PipelineError, match=r"other\.pem must hold a key .* \(it holds none\)"):
        trusted_keys()


def test_a_signature_covers_all_files_but_itself_and_the_note_of_mlflows_client(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for path in (
        "MLmodel",
        "model.sig",
        "registered_model_meta",
        "data/model.sig",
        "data/registered_model_meta",
    ):
        (tmp_path / path).write_text("")
    assert version_digests(tmp_path).keys() == {"MLmodel", "data/model.sig", "data/registered_model_meta"}


def test_a_key_that_is_there_stays(keys: Path) -> None:
    before = (keys / "old.pem").read_bytes(), (keys / "old.pub").read_bytes()
    make_signing_key(keys / "old.pem", keys / "old.pub")
    assert ((keys / "old.pem").read_bytes(), (keys / "old.pub").read_bytes()) == before
    assert len(list(keys.iterdir())) == 4
