"""The bill of materials of an image; the engine is a stand-in that answers for a small image."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "docker" / "image_sbom.py"
IDENTITY = "sha256:" + "3f2a" * 16
HELD = {
    "pypi": [["numpy", "2.4.6"], ["Typing_Extensions", "4.15.0"]],
    "deb": [["libc6", "2.36-9+deb12u13", "amd64"]],
}
ENGINE = f"""#!/bin/sh
case "$1 $2" in
    "run --rm") cat >"$0.stdin"; echo '{json.dumps(HELD)}' ;;
    "image inspect") echo {IDENTITY} ;;
esac
"""


def sbom(engine: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"DOCKER": str(engine)}
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    path = tmp_path / "docker"
    path.write_text(ENGINE)
    path.chmod(0o755)
    return path


def test_it_names_what_the_image_holds(engine: Path) -> None:
    done = sbom(engine, "of-the-test")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    container = document["metadata"]["component"]
    assert (container["type"], container["name"], container["version"]) == (
        "container",
        "of-the-test",
        IDENTITY,
    )
    assert {part["purl"] for part in document["components"]} == {
        "pkg:pypi/numpy@2.4.6",
        "pkg:pypi/typing-extensions@4.15.0",
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u13?arch=amd64",
    }
    # What differs from call to call is left out.
    assert "serialNumber" not in document
    assert "timestamp" not in document["metadata"]

    # What runs in the image runs here too.
    inventory = engine.with_name("docker.stdin").read_text()
    asked = subprocess.run([sys.executable, "-"], input=inventory, capture_output=True, text=True, check=True)
    held = json.loads(asked.stdout)
    assert ["numpy", version("numpy")] in held["pypi"]
    if Path("/var/lib/dpkg/status").exists():
        assert any(name.startswith("libc6") for name, _, _ in held["deb"])


def test_an_image_that_is_not_there_is_one_line(engine: Path) -> None:
    engine.write_text("#!/bin/sh\necho 'no such image' >&2\nexit 125\n")
    done = sbom(engine, "missing")
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr
        == f"error: missing must be an image with Python but {engine} says no such image: build it.\n"
    )
