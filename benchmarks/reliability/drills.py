"""`python -m benchmarks.reliability.drills`: backup, restore, loss and expiry, as an operator meets them."""

import argparse
import http.server
import os
import pickle
import shlex
import shutil
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.reliability.attempt import NotRunError
from benchmarks.reliability.certificate import make_certificate
from benchmarks.reliability.command import Said, must_say, quick_run, say, start
from benchmarks.reliability.lane import SECRET
from benchmarks.reliability.postgres import (
    NOT_INSTALLED,
    PostgresServer,
    by_psycopg2,
    postgres_programs,
    postgres_server,
)
from benchmarks.reliability.record import write_record
from components.common.errors import TRY_AGAIN
from components.common.model.signing import make_signing_key
from components.common.storage.s3 import DEFAULT_BUCKET, s3_client
from pipelines.local.home import Home
from pipelines.local.mlflow_server import DATABASE_FILE, mlflow_plan
from pipelines.local.process import Probe, listening_socket
from pipelines.local.store import Store, embedded_store, swift_plan

VERSIONS = 5
MODELS = tuple(f"drilled-{number}" for number in range(VERSIONS))
COPIES = 3
BOUND = 900.0
EXPLANATION = (
    "Each drill does what docs/operations.md says, on real servers, and counts what is right afterwards. A version is "
    "right where `mnist-pipeline models verify` finds its files, schema and answers as they were registered."
)


@dataclass(frozen=True)
class Drilled:
    """A drill that was done: what was found, how many of how many were right, and seconds of its parts."""

    drill: str
    right: int
    of: int
    found: str = ""


def timed(work: Callable[[], object]) -> float:
    """Do something and return its seconds."""
    started = time.monotonic()
    work()
    return time.monotonic() - started


def verified(home: Path, changes: dict[str, str] | None = None) -> int:
    """Return of how many models the version is what was registered."""
    return sum(verify(home, model, changes).status == 0 for model in MODELS)


def verify(home: Path, model: str = MODELS[0], changes: dict[str, str] | None = None) -> Said:
    """Check the champion of a model."""
    return say(home, "models", "verify", "champion", "--model", model, seconds=BOUND, changes=changes)


def make_home(work: Path) -> Path:
    """Return a home with some versions, whose servers are stopped."""
    home = work / "home"
    must_say(home, "up")
    for model in MODELS:
        must_say(home, *quick_run(model))
    must_say(home, "down", "--force")
    return home


def stopped(home: Path, work: Path) -> Iterator[Drilled]:
    """Pack a stopped home, and unpack it elsewhere."""
    archive = work / "home.tar.gz"
    pack = ["tar", "--xattrs", "--xattrs-include=*", "-czf", str(archive), "-C", str(home), "."]
    restored = work / "restored"
    restored.mkdir()
    unpack = ["tar", "--xattrs", "--xattrs-include=*", "-xzf", str(archive), "-C", str(restored)]
    seconds = [timed(partial(subprocess.run, command, check=True)) for command in (pack, unpack)]
    found = (
        f"{archive.stat().st_size / 2**20:.0f} MiB, {seconds[0]:.1f} s to save, {seconds[1]:.1f} s to restore"
    )
    yield Drilled("home, stopped: saved and restored elsewhere", verified(restored), VERSIONS, found)


def working(home: Path, work: Path) -> Iterator[Drilled]:
    """Copy a home while a run works: the database by SQLite's own backup, then the objects."""
    right, seconds = 0, []
    for number in range(COPIES):
        copy = work / f"copy-{number}"
        with start(home, *quick_run(f"meanwhile-{number}")) as run:
            time.sleep(10 * (number + 1))
            seconds.append(timed(partial(copy_working, home, copy)))
            run.communicate(timeout=BOUND)
        right += verified(copy) == VERSIONS
    found = f"{max(seconds):.1f} s to save at most"
    yield Drilled("home, saved while a run works: restores with all versions right", right, COPIES, found)


def copy_working(home: Path, copy: Path) -> None:
    """Copy database first, objects after, as docs/operations.md says."""
    (copy / "mlflow").mkdir(parents=True)
    with (
        sqlite3.connect(home / "mlflow" / DATABASE_FILE) as source,
        sqlite3.connect(copy / "mlflow" / DATABASE_FILE) as target,
    ):
        source.backup(target)
    # A file that ends to exist while it is copied is a temporary one of the store.
    command = ["cp", "--recursive", "--preserve=all", str(home / "store"), str(copy / "store")]
    subprocess.run(command, check=False, stderr=subprocess.DEVNULL)
    shutil.copytree(home / "keys", copy / "keys")
    shutil.copy(home / "platform.json", copy)


def lost_objects(home: Path, work: Path) -> Iterator[Drilled]:
    """Remove single things of copies of a home, and see whether it is said."""
    cases = {"platform.json": "platform.json", "the lock": "lock", "a ring of the store": "store/*.ring.gz"}
    mended = 0
    for name, pattern in cases.items():
        copy = work / name.replace(" ", "-")
        _copy(home, copy)
        for path in copy.glob(pattern):
            path.unlink()
        mended += verify(copy).status == 0
    yield Drilled("file of the platform lost: mended without help", mended, len(cases))
    copy = work / "objects"
    _copy(home, copy)
    lost = objects_of_versions(copy / "store")
    told: list[str] = []
    for name, paths in sorted(lost.items()):
        aside = [path.rename(work / f"aside-{number}") for number, path in enumerate(paths)]
        said = verify(copy)
        for path, kept in zip(paths, aside, strict=True):
            kept.rename(path)
        line = _last(said.error)
        told += [line] * (said.status in {1, TRY_AGAIN} and not said.traced and name in line)
        print(f"without {name}: {said.status}, {line}", flush=True)
    yield Drilled(
        "each object of a version lost: named in one line", len(told), len(lost), (told or [""])[-1]
    )
    yield Drilled("each object of a version back: right again", int(verify(copy).status == 0), 1)


def objects_of_versions(store: Path) -> dict[str, list[Path]]:
    """Return the files of a stopped store that hold each artifact of all versions."""
    found = defaultdict[str, list[Path]](list)
    for path in store.rglob("*.data"):
        # Swift's own function would come with eventlet, which changes the threads of this process.
        metadata = pickle.loads(os.getxattr(path, "user.swift.metadata"))  # noqa: S301
        version, is_artifact, name = metadata[b"name"].decode().partition("/artifacts/")
        if is_artifact and "/models/m-" in version:
            found[name].append(path)
    return found


def _copy(home: Path, copy: Path) -> None:
    subprocess.run(["cp", "--recursive", "--preserve=all", str(home), str(copy)], check=True)


def _last(text: str) -> str:
    return (text.strip().splitlines() or [""])[-1][:160]


@contextmanager
def on_postgres(work: Path, server: PostgresServer) -> Iterator[tuple[Store, str]]:
    """Start a store, and MLflow that keeps its history in PostgreSQL; yield the store and MLflow's address."""
    home = Home(work / "servers")
    home.prepare()
    with listening_socket() as first, listening_socket() as second:
        store = embedded_store(first.getsockname()[1], SECRET)
        database = by_psycopg2(server.url())
        plans = [swift_plan(home, store, first), mlflow_plan(home, store, second, database)]
        with plans[0].start() as swift, plans[1].start() as mlflow:
            for plan, process in zip(plans, (swift, mlflow), strict=True):
                process.wait_until_ready(Probe(plan).is_answered)
            yield store, plans[1].address


def postgres(home: Path, work: Path) -> Iterator[Drilled]:
    """Save PostgreSQL and the bucket, lose both, and restore them in the order of docs/operations.md."""
    del home
    if postgres_programs() is None:
        raise NotRunError(NOT_INSTALLED)
    dump, bucket = work / "mlflow.dump", work / "bucket"
    bucket.mkdir()
    with postgres_server() as server:
        with on_postgres(work / "before", server) as (store, uri):
            changes = {**store.environment, "MLFLOW_TRACKING_URI": uri}
            for model in MODELS:
                must_say(work / "client", *quick_run(model), changes=changes)
            connect = ("--host=127.0.0.1", f"--port={server.port}", "--username=tune")
            rows = _rows(server)
            dumped = partial(
                _call, server, "pg_dump", *connect, "--format=custom", f"--file={dump}", "postgres"
            )
            saved = timed(dumped) + timed(partial(_save_bucket, store, bucket))
        _call(
            server,
            "psql",
            *connect,
            "--command",
            "DROP SCHEMA public CASCADE; CREATE SCHEMA public",
            "postgres",
        )
        began = time.monotonic()
        _call(
            server, "pg_restore", *connect, "--clean", "--if-exists", "--no-owner", "--single-transaction",
            "--dbname=postgres", str(dump),
        )  # fmt: skip
        with on_postgres(work / "after", server) as (store, uri):
            for path in bucket.rglob("*"):
                if path.is_file():
                    key = str(path.relative_to(bucket))
                    s3_client(store.endpoint_url, store.credentials).put_object(
                        Bucket=DEFAULT_BUCKET, Key=key, Body=path.read_bytes()
                    )
            restored = time.monotonic() - began
            same = _rows(server) == rows
            right = verified(work / "client", {**store.environment, "MLFLOW_TRACKING_URI": uri})
    found = f"{len(rows)} tables, {saved:.1f} s to save, {restored:.1f} s to restore"
    yield Drilled(
        "PostgreSQL and bucket restored: tables with the same rows", len(rows) * same, len(rows), found
    )
    yield Drilled("PostgreSQL and bucket restored: versions", right, VERSIONS)


def _call(server: PostgresServer, program: str, *arguments: str) -> None:
    subprocess.run([server.programs / program, *arguments], check=True, stdout=subprocess.DEVNULL)


def _rows(server: PostgresServer) -> dict[str, int]:
    from sqlalchemy import MetaData, create_engine, func, select

    engine, tables = create_engine(by_psycopg2(server.url())), MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        return {
            name: connection.execute(select(func.count()).select_from(table)).scalar_one()
            for name, table in tables.tables.items()
        }


def _save_bucket(store: Store, target: Path) -> None:
    s3 = s3_client(store.endpoint_url, store.credentials)
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=DEFAULT_BUCKET):
        for item in page.get("Contents", ()):
            path = target / item["Key"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(s3.get_object(Bucket=DEFAULT_BUCKET, Key=item["Key"])["Body"].read())


def rotation(home: Path, work: Path) -> Iterator[Drilled]:
    """Change the signing key in the steps of docs/operations.md, and leave one version without its new signature."""
    copy, new = work / "home", work / "new"
    _copy(home, copy)
    new.mkdir()
    make_signing_key(new / "private.pem", new / "public.pem")
    both = {
        "MODEL_SIGNING_KEY": str(new / "private.pem"),
        "MODEL_PUBLIC_KEYS": f"{copy / 'keys/public.pem'}:{new / 'public.pem'}",
    }
    started = say(copy, *quick_run("by-the-new-key"), seconds=BOUND, changes=both)
    yield Drilled(
        "both keys valid: a run",
        int(started.status == 0),
        1,
        "" if started.status == 0 else _last(started.error),
    )
    yield Drilled("both keys valid: versions", verified(copy, both), VERSIONS)
    signed = [
        say(copy, "models", "sign", "champion", "--model", model, changes=both, seconds=BOUND)
        for model in MODELS[1:]
    ]
    yield Drilled("versions signed again", sum(said.status == 0 for said in signed), VERSIONS - 1)
    alone = {"MODEL_PUBLIC_KEYS": str(new / "public.pem")}
    yield Drilled("the new key alone: versions", verified(copy, alone), VERSIONS - 1)
    refused = verify(copy, MODELS[0], alone)
    told = refused.status == 1 and not refused.traced
    yield Drilled("the old key alone: refused in one line", int(told), 1, _last(refused.error))


def expired(home: Path, work: Path) -> Iterator[Drilled]:
    """Ask an MLflow server whose certificate has expired."""
    certificate = work / "certificate.pem"
    certificate.write_bytes(make_certificate(datetime.now(UTC) - timedelta(days=1)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    changes = {
        "MLFLOW_TRACKING_URI": f"https://127.0.0.1:{server.server_port}",
        "SSL_CERT_FILE": str(certificate),
        "REQUESTS_CA_BUNDLE": str(certificate),
    }
    commands = (("models", "list"), ("runs", "list"), ("models", "verify", "champion"), ("doctor",))
    try:
        told = [say(home, *command, seconds=BOUND, changes=changes) for command in commands]
    finally:
        server.shutdown()
        server.server_close()
    right = sum("certificate" in (said.output + said.error).lower() and not said.traced for said in told)
    yield Drilled("expired certificate: told without a traceback", right, len(told), _last(told[0].error))


def upgrade(home: Path, work: Path) -> Iterator[Drilled]:
    """Bring a home from an older schema of MLflow's database, and then back to its backup.

    The older schema is the one that MLflow's own last migration leads away from, which has a way back.
    """
    from alembic import command
    from mlflow.store.db.utils import _get_alembic_config

    copy = work / "home"
    _copy(home, copy)
    database = copy / "mlflow" / DATABASE_FILE
    command.downgrade(_get_alembic_config(f"sqlite:///{database}"), "-1")
    backup = work / "backup.db"
    shutil.copy(database, backup)
    older = verify(copy)
    must_say(copy, "down", "--force")
    told = older.status == 0 or (older.status == 1 and not older.traced and "error" in older.error.lower())
    yield Drilled("older schema of MLflow: works, or told in one line", int(told), 1, _last(older.error))
    upgraded = [sys.executable, "-m", "mlflow", "db", "upgrade", f"sqlite:///{database}"]
    seconds = timed(lambda: subprocess.run(upgraded, check=True, capture_output=True))
    yield Drilled("schema upgraded: versions", verified(copy), VERSIONS, f"{seconds:.1f} s to upgrade")
    must_say(copy, "down", "--force")
    shutil.copy(backup, database)
    subprocess.run(upgraded, check=True, capture_output=True)
    yield Drilled(
        "backup from before the upgrade restored, and upgraded again: versions", verified(copy), VERSIONS
    )


DRILLS: dict[str, Callable[[Path, Path], Iterator[Drilled]]] = {
    "stopped": stopped,
    "working": working,
    "lost": lost_objects,
    "postgres": postgres,
    "upgrade": upgrade,
    "rotation": rotation,
    "expired": expired,
}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability.drills", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=DRILLS, default=list(DRILLS), metavar="NAME")
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/reliability-drills.json"))
    options = parser.parse_args(arguments)
    rows: list[dict[str, Any]] = []
    done: list[Drilled] = []
    not_run: list[str] = []
    with tempfile.TemporaryDirectory() as work:
        home = make_home(Path(work))
        for name in options.only:
            place = Path(work, name)
            place.mkdir()
            started = time.monotonic()
            try:
                found = list(DRILLS[name](home, place))
            except NotRunError as error:
                not_run.append(f"{name}: {error}")
                continue
            seconds = time.monotonic() - started
            for one in found:
                print(f"{one.drill}: {one.right} of {one.of}  {one.found}", flush=True)
                row = {
                    "drill": one.drill,
                    "right": f"{one.right} of {one.of}",
                    "found": one.found.replace(f"{work}/", ""),
                }
                rows.append({**row, "seconds of the drill": f"{seconds:.0f}"})
            done += found
    return write_record(
        options.output,
        title="Drills",
        explanation=EXPLANATION,
        rows=rows,
        floors=[
            {"floor": one.drill, "measured": f"{one.right} of {one.of}", "met": one.right == one.of}
            for one in done
        ],
        command=shlex.join(["python", "-m", "benchmarks.reliability.drills", *arguments]),
        not_run=not_run,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
