"""The results of a bench as one JSON file, written anew after every benchmark."""

import json
import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.setting import Floor, Result, Results
from components.common.cores import available_cores
from components.common.provenance import processor_name
from components.common.settings import settings
from components.common.storage.files import written_file
from components.train.devices import cpu_has_bfloat16


def identity(*, quick: bool) -> dict[str, Any]:
    """Name all that results must share to stand in one page: amount of work, machine, versions."""
    limit = f" (ONEDNN_MAX_CPU_ISA={isa})" if (isa := settings().onednn_max_cpu_isa) else ""
    return {
        "size": "quick" if quick else "full",
        "machine": f"{processor_name()}, "
        f"{'with' if cpu_has_bfloat16() else 'without'} bfloat16{limit}, {available_cores()} cores, "
        f"{platform.system()} {platform.machine()}",
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("keras", "mlflow", "kfp", "numpy")}
        | {"tensorflow": _tensorflow()},
    }


def save(path: Path, about: dict[str, Any], results: Results) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {**about, "results": {name: asdict(result) for name, result in results.items()}}
    with written_file(path) as partial:
        partial.write_text(json.dumps(content, indent=1) + "\n")


def load(path: Path, about: dict[str, Any]) -> Results:
    """Return the results of the same identity; none where the file is missing or of another."""
    if not path.exists():
        return {}
    content = json.loads(path.read_text())
    stored = content.pop("results")
    if content != about:
        return {}
    return {
        name: Result(**{**result, "floors": [Floor(**floor) for floor in result["floors"]]})
        for name, result in stored.items()
    }


def _tensorflow() -> str:
    from importlib.metadata import PackageNotFoundError

    try:
        return version("tensorflow-cpu")
    except PackageNotFoundError:
        return version("tensorflow")
