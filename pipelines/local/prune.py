"""Removal of what the earlier runs of a home have left and nothing refers to.

A registered version stays, and the run that it comes from. So do the latest runs, whatever is in use now, and labelled
batches. Nothing else knows the embedded store's objects under `objects/` and `candidates/`, so one that no run and no
version names is an orphan.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from components.common.errors import PipelineError
from components.common.model.kept_candidate import candidate_prefix
from components.common.settings import environment, settings
from components.common.storage.files import delete_path
from components.common.storage.object_store import content_key
from components.common.storage.s3 import s3_client, store_must_answer
from components.common.tracking import tags
from components.ingest.sources import MNIST_SHA256
from pipelines.compat.mlflow_database import MlflowDatabase, delete_from_database
from pipelines.local.clients import registered_client, scan_clients
from pipelines.local.home import Home
from pipelines.local.mlflow_server import ARTIFACTS, DATABASE_FILE
from pipelines.local.platform import embedded_platform
from pipelines.local.run import JOURNAL_SUFFIX
from pipelines.local.run_logs import LOG_SUFFIX, SERVER_LOGS
from pipelines.local.store import external_store
from pipelines.local.usage import bytes_below

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

# Another command may refer to an object shortly after it was stored.
DAY_SECONDS = 24 * 60 * 60
# A killed training is expected to be started again within this time.
CHECKPOINT_SECONDS = 7 * DAY_SECONDS
DIGEST = re.compile("[0-9a-f]{64}")
# S3 deletes so many objects in one request.
MOST_KEYS = 1000


@dataclass
class Litter:
    """What may be removed.

    Attributes:
        runs: MLflow's ids of the runs, those of steps and trials included.
        models: MLflow's ids of the logged models of these runs, of which no version was registered.
        keys: Keys of objects in the store, with their size.
        paths: Files and directories, with their size.
        pipeline_runs: How many of `runs` are runs of the pipeline.
    """

    runs: list[str] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    keys: dict[str, int] = field(default_factory=dict)
    paths: dict[Path, int] = field(default_factory=dict)
    pipeline_runs: int = 0

    def lines(self, home: Home) -> Iterator[str]:
        """Yield a line for each kind of what may be removed."""
        objects = {key: size for key, size in self.keys.items() if key.startswith(content_key(""))}
        artifacts = {key: size for key, size in self.keys.items() if key not in objects}
        yield _line("runs in MLflow", f"{self.pipeline_runs}, with steps and trials {len(self.runs)}")
        yield _line("artifacts", _amount(artifacts.values()))
        yield _line("raw data", _amount(objects.values()))
        for kind in ("kfp", "logs", "optuna", "checkpoints"):
            yield _line(
                kind, _amount(size for path, size in self.paths.items() if path.parent == home.path / kind)
            )
        yield _line("in all", _amount([*self.keys.values(), *self.paths.values()]))


def prune_home(home: Home, keep: int, *, delete: bool, show: Callable[[str], None]) -> Litter:
    """Find what may be removed from a home, say it, and remove it if that is wanted.

    Args:
        home: The home.
        keep: How many of the pipeline's latest runs stay.
        delete: Remove it. The command takes its turn among the runs, so that none is in progress meanwhile.
        show: Called with every line for the terminal.

    Returns:
        What may be removed, or was.

    Raises:
        PipelineError: The home holds no history, or the environment names other servers than the embedded ones.
        UnavailableError: The store does not answer, or the database is locked; what is removed by then is consistent.
    """
    if external_store(environment()) or settings().mlflow_tracking_uri:
        raise PipelineError(
            "prune must be of embedded servers but S3_ENDPOINT_URL or MLFLOW_TRACKING_URI names others: "
            "unset both, or use `mlflow gc` and the rules of that store."
        )
    if not (home.mlflow / DATABASE_FILE).exists():
        raise PipelineError(
            f"{home.path} must hold the history of runs but has none: name another directory with --home."
        )
    home.prepare()
    with registered_client(home, queued=delete) as client:
        if delete:
            client.wait_for_turn(show)
        with embedded_platform(home, client) as platform:
            endpoint, bucket = platform.s3_endpoint_url, platform.bucket
            with store_must_answer(bucket, endpoint, f"read {home.logs / 'store.log'}"):
                store = s3_client(endpoint, platform.environment)
                found = _litter(home, store, bucket, keep)
                for line in found.lines(home):
                    show(line)
                if delete:
                    _delete(found, home, store, bucket)
    return found


def _litter(home: Home, store: "S3Client", bucket: str, keep: int) -> Litter:
    with home.mutex():
        living, dead = scan_clients(home)
    in_use = {str(other.run) for other in (*living, *dead) if other.run}
    with closing(MlflowDatabase(home.mlflow / DATABASE_FILE)) as database:
        pipeline = database.runs((tags.STEP, tags.PIPELINE), limit=-1)
        registered = database.registered_runs()
        names = {run["name"] for run in pipeline[:keep]} | in_use
        roots = [
            run["run_id"]
            for run in pipeline[keep:]
            if run["name"] not in in_use and run["run_id"] not in registered
        ]
        runs = _with_children(roots, database.children(tags.PARENT))
        models, locations = database.artifacts(runs)
        digests = set(DIGEST.findall(" ".join(database.tag_values("raw_files", besides=runs))))
        candidates = tuple(map(candidate_prefix, database.tag_values(tags.PIPELINE_RUN, besides=runs)))
    found = Litter(runs, models, pipeline_runs=len(roots))
    prefixes = tuple(f"{ARTIFACTS}/{place.partition(':/')[2].lstrip('/')}/" for place in locations)
    kept = {content_key(digest) for digest in (*digests, *MNIST_SHA256.values())}
    for key, size, age in _objects(store, bucket):
        unknown = key.startswith(content_key("")) and key not in kept
        unknown = unknown or (key.startswith(candidate_prefix("")) and not key.startswith(candidates))
        if (unknown and age > DAY_SECONDS) or key.startswith(prefixes):
            found.keys[key] = size
    found.paths = {path: bytes_below(path) for path in _old_paths(home, names)}
    return found


def _with_children(roots: list[str], children: dict[str, list[str]]) -> list[str]:
    """Return the runs and all runs below them."""
    found = list(roots)
    for run in found:
        found += children.get(run, ())
    return found


def _objects(store: "S3Client", bucket: str) -> Iterator[tuple[str, int, float]]:
    """Yield key, size and age in seconds of every object in a bucket."""
    for page in store.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for item in page.get("Contents", ()):
            yield item["Key"], item["Size"], time.time() - item["LastModified"].timestamp()


def _old_paths(home: Home, names: set[str]) -> Iterator[Path]:
    """Yield the files and directories of runs with other names, and checkpoints that nobody has resumed for long."""
    journals = tuple(f"{name}{JOURNAL_SUFFIX}" for name in names)
    logs = SERVER_LOGS | {f"{name}{LOG_SUFFIX}" for name in names}
    yield from (path for path in home.kfp.iterdir() if path.name not in names)
    yield from (path for path in home.logs.iterdir() if path.name not in logs)
    yield from (path for path in home.optuna.iterdir() if not path.name.startswith(journals))
    if home.checkpoints.is_dir():
        for path in home.checkpoints.iterdir():
            if time.time() - path.lstat().st_mtime > CHECKPOINT_SECONDS:
                yield path


def _delete(litter: Litter, home: Home, store: "S3Client", bucket: str) -> None:
    """Remove it. The runs go last: where this process is killed before, the next one finds the rest by them."""
    keys = list(litter.keys)
    for start in range(0, len(keys), MOST_KEYS):
        part: list[ObjectIdentifierTypeDef] = [{"Key": key} for key in keys[start : start + MOST_KEYS]]
        refused = store.delete_objects(Bucket=bucket, Delete={"Objects": part, "Quiet": True}).get("Errors")
        if refused:
            raise PipelineError(
                f"the store must delete {refused[0]['Key']} but does not ({refused[0]['Message']}): "
                f"read {home.logs / 'store.log'}."
            )
    for path in litter.paths:
        delete_path(path)
    delete_from_database(home.mlflow, DATABASE_FILE, litter.runs, litter.models)


def _line(kind: str, amount: str) -> str:
    return f"  {kind:15} {amount}"


def _amount(sizes: Iterable[int]) -> str:
    known = list(sizes)
    return f"{len(known)} of {sum(known) / 2**20:.1f} MiB" if known else "none"
