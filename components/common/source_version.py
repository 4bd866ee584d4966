"""Which source the running code came from."""

import os
import shutil
import subprocess
from pathlib import Path


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
