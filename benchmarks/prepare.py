"""The data of a benchmark, by the project's own ingest and preprocess."""

import math
from pathlib import Path

from benchmarks.process import call


def prepare(work: Path, data: str, limit: float = math.inf) -> tuple[Path, Path]:
    """Return the prepared development and test data; what an earlier benchmark left in `work` is used again.

    Raises:
        RuntimeError: It failed, or took longer than `limit` seconds.
    """
    directory = work / data
    development, test = directory / "development", directory / "test"
    if not test.exists():
        call("benchmarks.prepare:write", data, str(directory), limit=limit)
    return development, test


def write(data: str, directory: str) -> None:
    """Bring the data in: "digits", or "mnist" from MNIST_DATA_URI or a public mirror."""
    from components.common.plan.run import DataPlan
    from components.common.settings import settings
    from components.common.storage.address import absolute_uri
    from components.ingest.collect import collect_data
    from components.preprocess.prepare import prepare_splits

    named, target = settings().mnist_data_uri, Path(directory)
    plan = DataPlan(source=absolute_uri(named) if named and data == "mnist" else data)
    collect_data(plan, target / "raw")
    prepare_splits(target / "raw", plan, development=target / "development", test=target / "test")
