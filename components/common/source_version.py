"""Which source the running code came from."""

import os
import shutil
import subprocess
from pathlib import Path

from components.common.files import combined_digest, sha256_file

COMPONENTS = Path(__file__).parents[1]


def git_sha() -> str:
    """The commit of the code: `GIT_SHA` where an image was built with it, else the checkout's, else "unknown"."""
    if sha := os.environ.get("GIT_SHA"):
        return sha
    if shutil.which("git") is None:
        return "unknown"
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or "unknown"


def code_digest() -> str:
    """SHA-256 that names the code of all components."""
    sources = (path for path in COMPONENTS.rglob("*") if path.suffix in {".py", ".html", ".md"})
    return combined_digest({str(path.relative_to(COMPONENTS)): sha256_file(path) for path in sources})
