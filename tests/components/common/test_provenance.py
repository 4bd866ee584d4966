import hashlib
from importlib.metadata import distributions

from components.common.provenance import packages_digest


def test_packages_digest_names_every_installed_package_and_its_version() -> None:
    lines = sorted({f"{package.name.lower()}=={package.version}\n" for package in distributions()})
    assert packages_digest() == hashlib.sha256("".join(lines).encode()).hexdigest()
