"""The lock files hold what pyproject.toml asks for, by hash and from no particular index."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
ADDRESS = re.compile(r"https?:|file:|git\+|--(extra-)?index-url|--find-links|--trusted-host")


def _entries(lock: Path) -> list[str]:
    """Return one line for each pin, its hashes included."""
    return lock.read_text().replace("\\\n", " ").splitlines()


def _required() -> list[Requirement]:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = pyproject["project"]["optional-dependencies"]
    lines = pyproject["project"]["dependencies"] + extras["cpu"] + extras["store"]
    return [Requirement(line) for line in lines + pyproject["dependency-groups"]["dev"]]


@pytest.mark.parametrize("required", _required(), ids=str)
def test_what_is_required_is_pinned_within_its_specifier(required: Requirement) -> None:
    pins = [
        Requirement(entry.partition(" --hash")[0]) for entry in _entries(ROOT / "requirements" / "dev.lock")
    ]
    name = canonicalize_name(required.name)
    versions = [str(pin.specifier).removeprefix("==") for pin in pins if canonicalize_name(pin.name) == name]
    assert versions
    assert all(required.specifier.contains(version) for version in versions)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_pin_is_exact_and_has_a_hash(lock: Path) -> None:
    entries = _entries(lock)
    assert entries
    pin = re.compile(r"[\w.-]+==[\w.!+]+( ; .+?)?( +--hash=sha256:[0-9a-f]{64})+")
    assert [entry for entry in entries if not pin.fullmatch(re.sub(" +", " ", entry).strip())] == []


@pytest.mark.parametrize("image", ["cpu", "gpu", "mlflow-server"])
def test_an_image_has_the_versions_that_the_tests_run_with(image: str) -> None:
    def versions(lock: str) -> dict[str, set[str]]:
        pins: dict[str, set[str]] = {}
        for entry in _entries(ROOT / "requirements" / lock):
            name, _, version = entry.partition(" ")[0].partition("==")
            pins.setdefault(name, set()).add(version)
        return pins

    tested = versions("dev.lock")
    others = {
        name: pins
        for name, pins in versions(f"{image}.lock").items()
        if name in tested and pins - tested[name]
    }
    assert others == {}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_names_no_index(lock: Path) -> None:
    assert ADDRESS.findall(lock.read_text()) == []
