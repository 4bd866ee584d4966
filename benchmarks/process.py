"""Call a function in a fresh Python process, and measure the process from spawn to exit."""

import importlib
import json
import math
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]
SAMPLE_SECONDS = 0.02


@dataclass(frozen=True)
class Call:
    """A call that has ended.

    Attributes:
        value: What the function returned, through JSON.
        seconds: From spawn to exit, imports included.
        anonymous_bytes: Peak of the resident memory that no file backs, sampled every `SAMPLE_SECONDS`; mapped
            pages of data files, which the kernel takes back at will, are not in it. 0 where there is no /proc.
        processor_seconds: Time that cores computed for it, and for processes of its own that it waited for.
    """

    value: Any
    seconds: float
    anonymous_bytes: int
    processor_seconds: float


def call(
    function: str, *arguments: Any, environment: dict[str, str] | None = None, limit: float = math.inf
) -> Call:
    """Call "module:name" with arguments that JSON can carry.

    Args:
        function: What to call.
        arguments: Its arguments.
        environment: The process's whole environment; by default this one's.
        limit: Seconds after which the process is killed.

    Raises:
        RuntimeError: The process failed, and its output is in the message; or it was killed.
    """
    command = [sys.executable, "-m", "benchmarks.process", function, json.dumps(arguments)]
    started, before = time.perf_counter(), _processor_seconds()
    process = subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    peak = 0
    try:
        while True:
            try:
                output, _ = process.communicate(timeout=SAMPLE_SECONDS)
                break
            except subprocess.TimeoutExpired:
                peak = max(peak, _anonymous_bytes(process.pid))
                if time.perf_counter() - started > limit:
                    raise RuntimeError(f"{function} must end within {limit:.0f} s but did not") from None
    finally:
        process.kill()
    seconds = time.perf_counter() - started
    if process.returncode:
        raise RuntimeError(f"{function} failed:\n{output}")
    return Call(json.loads(output.splitlines()[-1]), seconds, peak, _processor_seconds() - before)


def _processor_seconds() -> float:
    """Return the processor time of all ended children, theirs included."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _anonymous_bytes(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    lines = [line for line in status.splitlines() if line.startswith("RssAnon:")]
    return int(lines[0].split()[1]) * 1024 if lines else 0


def main(function: str, arguments: str) -> None:
    module, _, name = function.partition(":")
    value = getattr(importlib.import_module(module), name)(*json.loads(arguments))
    print(f"\n{json.dumps(value)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
