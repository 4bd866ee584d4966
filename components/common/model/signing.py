"""Signatures of registered versions, in the format of OpenSSF Model Signing, and the keys that make and check them.

A signature is a Sigstore bundle with a DSSE envelope around an in-toto statement of the SHA-256 of every file, signed
by ECDSA on P-256. So `model_signing verify key` checks it too.
"""

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Base64Bytes, BaseModel, Field, ValidationError

from components.common.bounds import LARGEST_SIGNATURE
from components.common.errors import PipelineError, first_line
from components.common.record import Sha256
from components.common.settings import settings
from components.common.storage.files import file_digests, written_file

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

# At the top of a version's files.
SIGNATURE_FILE = "model.sig"
# The other file there that a signature does not cover: MLflow's client adds it to what it downloads.
DOWNLOAD_NOTE = "registered_model_meta"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
STATEMENT_TYPE = "application/vnd.in-toto+json"
IN_TOTO = "https://in-toto.io/Statement/v1"
PREDICATE = "https://model_signing/signature/v1.0"
SERIALIZATION = {
    "method": "files",
    "hash_type": "sha256",
    "allow_symlinks": False,
    "ignore_paths": [SIGNATURE_FILE, DOWNLOAD_NOTE],
}
PEM_BEGIN, PEM_END = "-----BEGIN ", "-----END PUBLIC KEY-----"
# Digits of a key's id that are shown.
SHORT_KEY = 12


class SignatureError(Exception):
    """A signature that does not vouch for what it lies beside; its message is a clause."""


class UnknownKeyError(SignatureError):
    """A signature by a key that is not among the trusted ones."""


@dataclass(frozen=True)
class Statement:
    """What a signature says of a version.

    Attributes:
        model: The registered model.
        run: Kubeflow's id of the pipeline run that registered the version; "" where it is not known.
        files: SHA-256 of each file by path.
    """

    model: str
    run: str
    files: dict[str, str]


class SigningKey:
    """A private key on the curve P-256.

    Attributes:
        id: SHA-256 of its public half in PEM, which names the key.
        public: The public half in PEM.

    Args:
        pem: The key in PEM, without a password.
        place: Where it comes from, for errors.

    Raises:
        PipelineError: It is no such key.
    """

    def __init__(self, pem: bytes, place: str) -> None:
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            self._key = _on_p256(load_pem_private_key(pem, None))
        # An encrypted key is a TypeError, an unknown algorithm an error of the library's own.
        except Exception as error:
            raise _no_key(place, error) from None
        self.public = _pem(self._key.public_key())
        self.id = key_id(self.public)

    def sign(self, kind: str, payload: bytes) -> bytes:
        """Return the signature of a payload of a kind."""
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
        from cryptography.hazmat.primitives.hashes import SHA256

        signature: bytes = self._key.sign(_authenticated(kind, payload), ECDSA(SHA256()))
        return signature


class TrustedKeys:
    """Public keys by id.

    Args:
        pems: The keys in PEM, each with the place that it comes from.

    Raises:
        PipelineError: One is no public key on P-256.
    """

    def __init__(self, pems: Mapping[bytes, str]) -> None:
        self._keys = {key_id(pem): _public_key(pem, place) for pem, place in pems.items()}

    def check(self, key: str, signature: bytes, kind: str, payload: bytes) -> None:
        """Check that the key of this id is trusted and signed the payload.

        Raises:
            UnknownKeyError: It is not trusted.
            SignatureError: It did not.
        """
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
        from cryptography.hazmat.primitives.hashes import SHA256

        if key not in self._keys:
            raise UnknownKeyError(f"it is signed by the key {key[:SHORT_KEY]!r}, which is not trusted")
        try:
            self._keys[key].verify(signature, _authenticated(kind, payload), ECDSA(SHA256()))
        except InvalidSignature:
            raise SignatureError("its signature is not of what it lies beside") from None


def signing_key() -> SigningKey:
    """Return the key that `MODEL_SIGNING_KEY` names.

    Raises:
        PipelineError: It names none, or the key cannot be read.
    """
    if not (given := settings().model_signing_key):
        raise PipelineError(
            "what is registered must be signed but MODEL_SIGNING_KEY is not set: set it to a private key "
            '(docs/operations.md, "Keys").'
        )
    return SigningKey(*_given(given, "MODEL_SIGNING_KEY"))


def trusted_keys() -> TrustedKeys:
    """Return the keys of `MODEL_PUBLIC_KEYS`, and the public half of the own signing key.

    Raises:
        PipelineError: A key cannot be read.
    """
    pems = trusted_pems()
    if given := settings().model_signing_key:
        own = SigningKey(*_given(given, "MODEL_SIGNING_KEY"))
        pems[own.public] = "MODEL_SIGNING_KEY"
    return TrustedKeys(pems)


def trusted_pems() -> dict[bytes, str]:
    """Return the keys of `MODEL_PUBLIC_KEYS` in PEM, each with the place that it comes from.

    Raises:
        PipelineError: A file cannot be read.
    """
    given = settings().model_public_keys or ""
    sources = [given] if given.startswith(PEM_BEGIN) else list(filter(None, given.split(os.pathsep)))
    pems: dict[bytes, str] = {}
    for source in sources:
        content, place = _given(source, "MODEL_PUBLIC_KEYS")
        *blocks, _ = content.decode(errors="replace").split(PEM_END)
        if not blocks:
            raise _no_key(place, ValueError("it holds none"))
        pems |= {f"{block.strip()}\n{PEM_END}\n".encode(): place for block in blocks}
    return pems


def trust_digest() -> str:
    """Return a digest of what decides whom `trusted_keys` trusts; nothing that a key needs is imported for it.

    Raises:
        PipelineError: A file cannot be read.
    """
    named = settings().model_signing_key
    own = hashlib.sha256(_given(named, "MODEL_SIGNING_KEY")[0]).hexdigest() if named else ""
    return hashlib.sha256(" ".join([own, *sorted(map(key_id, trusted_pems()))]).encode()).hexdigest()


def make_signing_key(private: Path, public: Path) -> None:
    """Write a new key that only this user can read, and its public half; one that is there already stays.

    Args:
        private: File for the key; its directory exists.
        public: File for the public half.
    """
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = ec.generate_private_key(ec.SECP256R1())
    partial = private.with_name(f".{private.name}.{os.getpid()}.partial")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            os.fsync(file.fileno())
        # Unlike a rename, a link takes no other's place.
        private.hardlink_to(partial)
    except FileExistsError:
        pass
    finally:
        partial.unlink(missing_ok=True)
    with written_file(public) as partial:
        partial.write_bytes(SigningKey(private.read_bytes(), str(private)).public)


def version_digests(directory: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of a stored version that its signature covers, by relative path."""
    return {
        path: digest
        for path, digest in file_digests(directory).items()
        if path not in {SIGNATURE_FILE, DOWNLOAD_NOTE}
    }


def signed(statement: Statement, key: SigningKey) -> bytes:
    """Return the content of `SIGNATURE_FILE`: the statement, signed."""
    files = sorted(statement.files.items(), key=lambda item: PurePosixPath(item[0]))
    payload = json.dumps(
        {
            "_type": IN_TOTO,
            "subject": [{"name": statement.model, "digest": {"sha256": _root(dict(files))}}],
            "predicateType": PREDICATE,
            "predicate": {
                "serialization": SERIALIZATION,
                "resources": [
                    {"name": name, "algorithm": "sha256", "digest": digest} for name, digest in files
                ],
                # Readers of the format pass over what they do not know.
                "registration": {"run": statement.run},
            },
        }
    ).encode()
    bundle = {
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": key.id}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": STATEMENT_TYPE,
            "signatures": [
                {"sig": base64.b64encode(key.sign(STATEMENT_TYPE, payload)).decode(), "keyid": ""}
            ],
        },
    }
    return json.dumps(bundle).encode()


def read_statement(content: bytes | None, keys: TrustedKeys, model: str = "") -> Statement:
    """Return what a signature says, after checking it.

    Args:
        content: The signature's file; None where there is none.
        keys: Those that may have made it.
        model: The registered model that it must be of; "" for any.

    Raises:
        UnknownKeyError: None of the keys made it, or there is none.
        SignatureError: It is damaged, or of another kind or model.
    """
    if content is None:
        raise UnknownKeyError("it is not signed")
    if len(content) > LARGEST_SIGNATURE:
        raise SignatureError(f"its signature has more than {LARGEST_SIGNATURE:,} bytes")
    try:
        bundle = _Bundle.model_validate_json(content)
        envelope = bundle.envelope
        key, [signature] = bundle.material.public_key.hint, envelope.signatures
        keys.check(key, signature.sig, envelope.payload_type, envelope.payload)
        statement = _Statement.model_validate_json(envelope.payload).stated()
    except ValueError as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else first_line(error)
        raise SignatureError(f"its signature cannot be read ({reason})") from None
    if model and statement.model != model:
        raise SignatureError(f"its signature is of a version of {statement.model!r}")
    return statement


def key_id(pem: bytes) -> str:
    """Return the name of a public key in PEM."""
    return hashlib.sha256(pem).hexdigest()


class _PublicKey(BaseModel):
    hint: str


class _Material(BaseModel):
    public_key: _PublicKey = Field(alias="publicKey")


class _Signature(BaseModel):
    sig: Base64Bytes


class _Envelope(BaseModel):
    payload: Base64Bytes
    payload_type: Literal["application/vnd.in-toto+json"] = Field(alias="payloadType")
    signatures: Annotated[list[_Signature], Field(min_length=1, max_length=1)]


class _Bundle(BaseModel):
    media_type: Literal["application/vnd.dev.sigstore.bundle.v0.3+json"] = Field(alias="mediaType")
    material: _Material = Field(alias="verificationMaterial")
    envelope: _Envelope = Field(alias="dsseEnvelope")


class _Resource(BaseModel):
    name: str
    algorithm: Literal["sha256"]
    digest: Sha256


class _Registration(BaseModel):
    run: str = ""


class _Predicate(BaseModel):
    resources: list[_Resource]
    registration: _Registration = _Registration()


class _Digest(BaseModel):
    sha256: str


class _Subject(BaseModel):
    name: str
    digest: _Digest


class _Statement(BaseModel):
    kind: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    subject: Annotated[list[_Subject], Field(min_length=1, max_length=1)]
    predicate_type: Literal["https://model_signing/signature/v1.0"] = Field(alias="predicateType")
    predicate: _Predicate

    def stated(self) -> Statement:
        files = {resource.name: resource.digest for resource in self.predicate.resources}
        if len(files) != len(self.predicate.resources) or _root(files) != self.subject[0].digest.sha256:
            raise ValueError("its digests do not belong together")
        return Statement(self.subject[0].name, self.predicate.registration.run, files)


def _root(files: Mapping[str, str]) -> str:
    return hashlib.sha256(b"".join(bytes.fromhex(digest) for digest in files.values())).hexdigest()


def _authenticated(kind: str, payload: bytes) -> bytes:
    """Return what DSSE signs, so that a signature of one kind of payload is none of another."""
    return f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload


def _given(value: str, variable: str) -> tuple[bytes, str]:
    """Return a key that a setting holds or names by its path, and where it comes from."""
    if value.startswith(PEM_BEGIN):
        return value.encode(), variable
    try:
        return Path(value).read_bytes(), value
    except OSError as error:
        raise PipelineError(
            f"{variable} must name keys that can be read but {value} cannot be ({error.strerror}): correct it."
        ) from None


def _public_key(pem: bytes, place: str) -> "EllipticCurvePublicKey":
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key: EllipticCurvePublicKey = _on_p256(load_pem_public_key(pem))
    except Exception as error:
        raise _no_key(place, error) from None
    return key


def _on_p256(key: Any) -> Any:
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1

    if not isinstance(getattr(key, "curve", None), SECP256R1):
        raise TypeError("it is of another kind")
    return key


def _pem(key: "EllipticCurvePublicKey") -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _no_key(place: str, error: Exception) -> PipelineError:
    return PipelineError(
        f"{place} must hold a key on the curve P-256 in PEM, without a password, but does not "
        f'({first_line(error).removesuffix(".")}): make one (docs/operations.md, "Keys").'
    )
