"""`python -m benchmarks.stores`: real S3 servers, what they do, and whether the pipeline runs on them."""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from benchmarks.process import call
from benchmarks.reliability.certificate import make_certificate
from benchmarks.reliability.record import write_record
from benchmarks.stores.operations import FAILURES, told, tried, whole_pipeline
from benchmarks.stores.page import BAD, PIPELINE, RECORD, write_stores_page
from benchmarks.stores.proxy import host_proxy
from benchmarks.stores.servers import DOMAIN, StorePlace, StoreServer, install, store_servers
from components.common.provenance import git_sha
from components.common.settings import environment
from pipelines.local.process import free_port

ADDRESSES = {"http": "http://127.0.0.1", "https": "https://127.0.0.1", "host": f"http://{DOMAIN}"}
ASKED, FILES = "what runs ask", "MLflow's artifacts"
# A run of up to a thousand files needs no list of more.
NEEDED = ("bucket is made", ASKED, "model of 64 MiB", FILES, PIPELINE)
REFUSED = "refused before"
CALL_SECONDS = 600
LEAST_STORES = 6


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stores", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", default=[""], metavar="NAME", help="beginnings of names of servers"
    )
    parser.add_argument("--modes", nargs="+", choices=ADDRESSES, default=list(ADDRESSES))
    parser.add_argument("--no-runs", action="store_true", help="leave out the whole pipeline")
    parser.add_argument("--resume", action="store_true", help="keep what was tried at the last time")
    parser.add_argument("--no-install", action="store_true", help="take what was installed at the last time")
    options = parser.parse_args(arguments)
    if not options.no_install:
        install()
    kept = json.loads(RECORD.read_text())["rows"] if options.resume and RECORD.exists() else []
    rows = {(row["store"], row["mode"]): row for row in kept}
    servers = store_servers()
    status = 1
    for mode in options.modes:
        for server in servers:
            chosen = mode in server.modes and server.name.lower().startswith(tuple(options.only))
            if server.missing or not chosen:
                continue
            started = time.monotonic()
            rows[server.name, mode] = tried_out(server, mode, runs=not options.no_runs)
            print(f"{time.monotonic() - started:4.0f} s  {rows[server.name, mode]}", flush=True)
            order = [(server.name, mode) for server in servers for mode in server.modes]
            status = _record([rows[key] for key in order if key in rows], servers)
    write_stores_page()
    return status


def tried_out(server: StoreServer, mode: str, *, runs: bool) -> dict[str, str]:
    """Start a server, and return what came of all that was tried on it."""
    row = {
        "store": server.name,
        "mode": mode,
        "source": server.source,
        "set up": server.set_up,
        "commit": git_sha(),
    }
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        scratch = Path(directory)
        try:
            variables = stack.enter_context(served(server, mode, scratch))
            found = partial(call, environment=environment(variables), limit=CALL_SECONDS)
            row |= found("benchmarks.stores.operations:operations", variables["S3_BUCKET"]).value
            if row[ASKED].startswith(BAD):
                return row | dict.fromkeys((FILES, PIPELINE), REFUSED)
            row[FILES] = found(
                "benchmarks.stores.operations:mlflow_artifacts", str(scratch / "artifacts")
            ).value
        except FAILURES as error:
            return dict.fromkeys(NEEDED, told(error)) | row
        if runs:
            row[PIPELINE] = tried(lambda: whole_pipeline(variables, scratch / "run"))
    return row


@contextmanager
def served(server: StoreServer, mode: str, scratch: Path) -> Iterator[dict[str, str]]:
    """Start a server and give the variables by which a user names it."""
    certificate = None
    variables = {"S3_BUCKET": "stores", "AWS_DEFAULT_REGION": "us-east-1"}
    if mode == "https":
        certificate = scratch / "certificate.pem"
        certificate.write_bytes(make_certificate(datetime.now(UTC) + timedelta(days=1)))
        variables["AWS_CA_BUNDLE"] = str(certificate)
    place = StorePlace(scratch / "store", free_port(), certificate)
    place.directory.mkdir()
    with ExitStack() as stack:
        key, secret = stack.enter_context(server.start(place))
        if mode == "host":
            proxy = stack.enter_context(host_proxy(place.port))
            variables |= {
                "S3_ADDRESSING_STYLE": "virtual",
                "HTTP_PROXY": proxy.address,
                "http_proxy": proxy.address,
            }
        yield variables | {
            "S3_ENDPOINT_URL": f"{ADDRESSES[mode]}:{place.port}",
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
        }


def _record(rows: list[dict[str, str]], servers: list[StoreServer]) -> int:
    whole = {row["store"] for row in rows if row.get(PIPELINE) == "yes"}
    failed = [
        f"{row['store']}, {row['mode']}: {name}"
        for row in rows
        for name in NEEDED
        if row[ASKED] == "yes" and row.get(name, "").startswith(BAD)
    ]
    return write_record(
        RECORD,
        title="Stores",
        explanation="",
        rows=rows,
        floors=[
            {
                "floor": f"stores that ran the whole pipeline: at least {LEAST_STORES}",
                "measured": str(len(whole)),
                "met": len(whole) >= LEAST_STORES,
            },
            {
                "floor": "failed though the check before a run had passed: none",
                "measured": "; ".join(failed) or "none",
                "met": not failed,
            },
        ],
        command="make stores",
        not_run=[server.missing for server in servers if server.missing],
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
