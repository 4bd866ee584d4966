"""The figures of a programme as `docs/reliability-NAME.json`."""

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.common.provenance import git_sha, processor_name
from components.common.storage.files import written_file


def write_record(
    path: Path,
    *,
    title: str,
    explanation: str,
    rows: Sequence[dict[str, Any]],
    floors: Sequence[dict[str, Any]],
    command: str,
    not_run: Sequence[str] = (),
) -> int:
    """Write what a programme found, print its floors, and return the exit status: 1 where one is missed.

    Args:
        path: The file.
        title: Heading in the page.
        explanation: What was done, in sentences.
        rows: Rows of the table; all have the same keys, its columns.
        floors: What was promised: `floor`, `measured` and `met`.
        command: The command that did it.
        not_run: What could not be run here, each with its reason.
    """
    machine = (
        f"{processor_name()}, {len(os.sched_getaffinity(0))} cores, {platform.system()} {platform.machine()}"
    )
    content = {
        "title": title,
        "explanation": explanation,
        "command": command,
        "commit": git_sha(),
        "machine": machine,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "not_run": list(not_run),
        "rows": list(rows),
        "floors": list(floors),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_file(path) as partial:
        partial.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    for reason in not_run:
        print(f"not run: {reason}")
    for floor in floors:
        print(f"{'met   ' if floor['met'] else 'MISSED'} {floor['floor']} (measured {floor['measured']})")
    print(f"wrote {path}")
    return 0 if all(floor["met"] for floor in floors) else 1
