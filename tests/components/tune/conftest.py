"""A finished baseline, an empty storage for a study, and data that is quick to learn from."""

import uuid
from collections.abc import Callable
from pathlib import Path

import psycopg2  # type: ignore[import-untyped]
import pytest

from components.common.data.dataset import Split
from components.common.model.training_record import Epoch, Training
from components.common.plan.training import TrainConfig
from tests.records import dataset_info, prepared, training_record


@pytest.fixture
def config() -> TrainConfig:
    """The baseline's configuration; quick to train."""
    return TrainConfig(
        filters=((4,),), dense_units=8, batch_size=32, learning_rate=0.002, epochs=2, compiled_loop=True
    )


@pytest.fixture
def baseline(config: TrainConfig) -> Training:
    """A record that any training beats."""
    history = [Epoch(1, 2.3, 0.1, 2.2, 0.0, 1.0), Epoch(2, 2.2, 0.2, 2.1, 0.0, 1.0)]
    return training_record(
        recipe="seed",
        seed=0,
        config=config.model_dump(mode="json"),
        parameters=5_000,
        validation_accuracy=0.0,
        validation_loss=2.1,
        history=history,
        seconds=2.0,
        images_per_second=100.0,
        weights_digest="w",
        dataset=dataset_info("noise"),
    )


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """File that `OPTUNA_STORAGE` names."""
    path = tmp_path / "study.journal"
    monkeypatch.setenv("OPTUNA_STORAGE", str(path))
    return path


@pytest.fixture
def database(postgres: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A new database that `OPTUNA_STORAGE` names; call it with a statement to run on a connection of its own."""
    name = f"t{uuid.uuid4().hex}"

    def run(statement: str, url: str) -> None:
        connection = psycopg2.connect(url)
        connection.autocommit = True
        connection.cursor().execute(statement)
        connection.close()

    run(f"CREATE DATABASE {name}", postgres)
    where = f"{postgres.rpartition('/')[0]}/{name}"
    monkeypatch.setenv("OPTUNA_STORAGE", where)
    return lambda statement: run(statement, where)


@pytest.fixture
def cut(database: Callable[[str], None]) -> Callable[[], None]:
    """End all connections to the database."""
    return lambda: database(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


@pytest.fixture(params=["journal", "database"])
def any_storage(request: pytest.FixtureRequest) -> None:
    """A new journal file, then a new database."""
    request.getfixturevalue(request.param)


@pytest.fixture
def development(tmp_path: Path, make_split: Callable[..., Split]) -> Path:
    """160 training and 40 validation images, with nothing to learn in them."""
    directory = tmp_path / "development"
    splits = {"train": make_split(160), "validation": make_split(40, seed=1)}
    prepared(directory, splits, "noise")
    return directory
