"""Commit, image, packages, code and machine that a run comes from."""

import hashlib
import os
import platform
import re
import shutil
import subprocess
from importlib.metadata import Distribution, distributions
from pathlib import Path

from components.common.container_image import IMAGE_VARIABLE
from components.common.storage.files import combined_digest, sha256_file

COMPONENTS = Path(__file__).parents[1]
LOCK = COMPONENTS.parent / "requirements" / "dev.lock"
SETTINGS = ("TF_ENABLE_ONEDNN_OPTS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
PREFIX = "compute."
HEADER = re.compile(r"^(Name|Version): (.+)$", re.MULTILINE)


def compute_environment() -> dict[str, str]:
    """Return tags that describe this process's machine, thread and oneDNN settings and packages."""
    return {
        f"{PREFIX}processor": processor_name(),
        f"{PREFIX}cpus": str(
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        ),
        f"{PREFIX}python": platform.python_version(),
        f"{PREFIX}packages_digest": packages_digest(),
        **{f"{PREFIX}{name}": os.environ.get(name, "default") for name in SETTINGS},
    }


def packages_digest() -> str:
    """SHA-256 over the sorted ``name==version`` lines of everything installed."""
    lines = {_line(package) for package in distributions()}
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def _line(package: Distribution) -> str:
    # Every step asks for all packages, and parsing what else METADATA holds would take ten times as long.
    text = package.read_text("METADATA")
    headers = dict(HEADER.findall(text.partition("\n\n")[0])) if text else package.metadata
    return f"{headers['Name'].lower()}=={headers['Version']}\n"


def lock_digest() -> str:
    """SHA-256 of the dependency lock, `LOCK_DIGEST` where an image was built with it, else "unknown"."""
    if given := os.environ.get("LOCK_DIGEST"):
        return given
    return sha256_file(LOCK) if LOCK.exists() else "unknown"


def code_digest() -> str:
    """SHA-256 that names the code of all components."""
    sources = (path for path in COMPONENTS.rglob("*") if path.suffix in {".py", ".html", ".md"})
    return combined_digest({str(path.relative_to(COMPONENTS)): sha256_file(path) for path in sources})


def processor_name() -> str:
    """Return the processor's model name; the name of its architecture where the system gives no other."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


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


def running_image() -> str:
    """The image that this step runs in, as the compiled pipeline names it; "none" outside of a container."""
    return os.environ.get(IMAGE_VARIABLE, "none")


def code_provenance() -> dict[str, str]:
    """Return tags that name the code: commit, image, and digests of the components and of the dependency lock."""
    sha = git_sha()
    return {
        "git_sha": sha.removesuffix("-dirty"),
        "git_dirty": "unknown" if sha == "unknown" else str(sha.endswith("-dirty")).lower(),
        "image": running_image(),
        "code_digest": code_digest(),
        "lock_digest": lock_digest(),
    }
