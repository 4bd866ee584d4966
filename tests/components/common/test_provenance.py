import hashlib
from importlib.metadata import distributions

import pytest

from components.common.provenance import compute_environment, packages_digest


def test_packages_digest_names_every_installed_package_and_its_version() -> None:
    lines = sorted({f"{package.name.lower()}=={package.version}\n" for package in distributions()})
    assert packages_digest() == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_a_compute_setting_is_recorded_as_default_where_it_is_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TF_ENABLE_ONEDNN_OPTS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TF_NUM_INTEROP_THREADS", "2")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    recorded = compute_environment()
    assert (
        recorded["compute.TF_ENABLE_ONEDNN_OPTS"] == recorded["compute.TF_NUM_INTRAOP_THREADS"] == "default"
    )
    assert recorded["compute.TF_NUM_INTEROP_THREADS"] == "2"
    assert recorded["compute.OMP_NUM_THREADS"] == "3"
