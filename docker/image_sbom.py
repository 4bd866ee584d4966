"""Prints a CycloneDX bill of materials of what an image holds: packages of Python and of Debian.

    usage: python docker/image_sbom.py IMAGE

It is read from the image itself, in a container without a network. DOCKER names the engine's command.
"""

import json
import os
import subprocess
import sys
from typing import Any

# Runs in the image, which has neither pip nor dpkg to ask.
INVENTORY = r"""
import json, pathlib, re
from importlib.metadata import distributions
status = pathlib.Path("/var/lib/dpkg/status")
paragraphs = status.read_text().split("\n\n") if status.exists() else []
fields = [dict(re.findall(r"^([\w-]+): (.*)$", text, re.MULTILINE)) for text in paragraphs]
print(json.dumps({
    "pypi": sorted({(found.metadata["Name"], found.version) for found in distributions()}),
    "deb": sorted({
        (entry["Package"], entry["Version"], entry["Architecture"])
        for entry in fields if entry.get("Status", "").endswith(" installed")
    }),
}))
"""


def main() -> int:
    """Print the document, checked against CycloneDX's schema."""
    if len(sys.argv) != 2:
        print("error: an image must be named: python docker/image_sbom.py IMAGE.", file=sys.stderr)
        return 2
    image = sys.argv[1]
    engine = os.environ.get("DOCKER", "docker")
    try:
        held = json.loads(
            asked(
                engine, "run", "--rm", "--interactive", "--network=none", "--entrypoint=python3", image, "-"
            )
        )
        identity = asked(engine, "image", "inspect", "--format={{.Id}}", image).strip()
    except (OSError, subprocess.CalledProcessError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        print(
            f"error: {image} must be an image with Python but {engine} says {said[-1]}: build it.",
            file=sys.stderr,
        )
        return 1
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    document = bill_of_materials(image, identity, held)
    if fault := JsonStrictValidator(SchemaVersion.V1_6).validate_str(document):
        print(f"error: the document must follow CycloneDX 1.6 but {fault.data}.", file=sys.stderr)
        return 1
    print(document)
    return 0


def asked(engine: str, *command: str) -> str:
    """Return what the engine prints."""
    done = subprocess.run([engine, *command], input=INVENTORY, capture_output=True, text=True, check=True)
    return done.stdout


def bill_of_materials(image: str, identity: str, held: dict[str, list[Any]]) -> str:
    """Return the document as JSON; the same image gives the same text.

    Args:
        image: Name of the image.
        identity: Its digest.
        held: Packages by kind: `pypi` with name and version, `deb` with name, version and architecture.
    """
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6
    from packageurl import PackageURL

    urls = [
        PackageURL("pypi", None, name.lower().replace("_", "-"), version) for name, version in held["pypi"]
    ]
    urls += [
        PackageURL("deb", "debian", name, version, {"arch": kind}) for name, version, kind in held["deb"]
    ]
    parts = [
        Component(
            name=url.name, version=url.version, purl=url, bom_ref=url.to_string(), type=ComponentType.LIBRARY
        )
        for url in urls
    ]
    bom = Bom(components=parts)
    bom.metadata.component = Component(
        name=image, version=identity, bom_ref=identity, type=ComponentType.CONTAINER
    )
    bom.register_dependency(bom.metadata.component, parts)
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    # Of each call, not of the image.
    del document["serialNumber"], document["metadata"]["timestamp"]
    return json.dumps(document, indent=2, sort_keys=True)


if __name__ == "__main__":
    sys.exit(main())
