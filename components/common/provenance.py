"""Commit, image, packages, code and machine that a run comes from."""

import hashlib
import platform
import re
import shutil
import subprocess
from importlib.metadata import Distribution, distributions
from pathlib import Path

from components.common.cores import available_cores
from components.common.settings import settings
from components.common.storage.files import combined_digest, sha256_file

COMPONENTS = Path(__file__).parents[1]
LOCK = COMPONENTS.parent / "requirements" / "dev.lock"
# Fields of the settings that change how TensorFlow computes.
COMPUTE_SETTINGS = (
    "tf_enable_onednn_opts",
    "tf_num_intraop_threads",
    "tf_num_interop_threads",
    "omp_num_threads",
    "onednn_max_cpu_isa",
)
PREFIX = "compute."
HEADER = re.compile(r"^(Name|Version): (.+)$", re.MULTILINE)


def compute_environment() -> dict[str, str]:
    """Return tags that describe this process's machine, thread and oneDNN settings and packages."""
    given = {name: getattr(settings(), name) for name in COMPUTE_SETTINGS}
    return {
        f"{PREFIX}processor": processor_name(),
        f"{PREFIX}cpus": str(available_cores()),
        f"{PREFIX}python": platform.python_version(),
        f"{PREFIX}packages_digest": packages_digest(),
        **{
            f"{PREFIX}{name.upper()}": "default" if value is None else str(value)
            for name, value in given.items()
        },
    }


def packages_digest() -> str:
    """Return the SHA-256 over the sorted `name==version` lines of everything installed."""
    lines = {_line(package) for package in distributions()}
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def _line(package: Distribution) -> str:
    # Every step asks for all packages, and parsing what else METADATA holds would take ten times as long.
    text = package.read_text("METADATA")
    headers = dict(HEADER.findall(text.partition("\n\n")[0])) if text else package.metadata
    return f"{headers['Name'].lower()}=={headers['Version']}\n"


def lock_digest() -> str:
    """Return the SHA-256 of the dependency lock: `LOCK_DIGEST` in an image, "unknown" without a lock file."""
    if given := settings().lock_digest:
        return given
    return sha256_file(LOCK) if LOCK.exists() else "unknown"


def code_digest() -> str:
    """Return the SHA-256 that names the code of all components."""
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
    """Return the commit of the code: `GIT_SHA` in an image, else the checkout's, "unknown" without both."""
    if sha := settings().git_sha:
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
    """Return the image that this step runs in, as the compiled pipeline names it; "none" outside a container."""
    return settings().step_image


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
