"""The pipeline as it is compiled for Kubeflow, and a certificate of a server."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from pipelines.compile import compile_pipeline

IMAGE = f"registry.example.org:5000/team/mnist-pipeline@sha256:{'3f2a' * 16}"


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled pipeline's file."""
    target = tmp_path_factory.mktemp("compiled") / "pipeline.yaml"
    compile_pipeline(target, IMAGE)
    return target


@pytest.fixture(scope="session")
def documents(package: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Its two documents: pipeline spec and platform spec."""
    spec, platform = yaml.safe_load_all(package.read_text())
    return spec, platform


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key with the certificate that it signed itself, for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    signed = (
        builder.not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = tmp_path / "certificate.pem"
    path.write_bytes(private + signed.public_bytes(Encoding.PEM))
    return path
