"""Cells of the fault table: for every fault the steps that it could harm most, as far as they take seconds."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

import pytest

from benchmarks.reliability.faults import opened_lanes, run_cell
from benchmarks.reliability.lane import Lane
from benchmarks.reliability.reference import Reference
from benchmarks.reliability.steps import STEPS
from benchmarks.reliability.table import scenarios

CELLS = {
    "kill -9 at its first touch": ("preprocess", "study", "register"),
    "kill -9 in the middle": ("train", "register", "close"),
    "kill -9 at its last touch": ("preprocess", "gate"),
    "SIGTERM in the middle": ("train", "register"),
    "64 MiB of memory": ("preprocess",),
    "store refuses, 2 s": ("ingest",),
    "store refuses, half the patience": ("register",),
    "store answers 503 to each 5th request": ("train",),
    "store cuts an object": ("ingest",),
    "store flips a bit": ("ingest",),
    "MLflow refuses, 2 s": ("check", "gate", "close"),
    "MLflow refuses, half the patience": ("register",),
    "MLflow answers 429 to each 5th request": ("study", "register"),
    "MLflow answers 500 to each 5th request": ("check", "close"),
    "PostgreSQL restarted": ("study",),
    "PostgreSQL's connections terminated": ("study",),
    "disk full at its first touch": ("preprocess",),
    "disk full in the middle": ("preprocess",),
    "artifact one bit flipped": ("preprocess", "gate"),
    "artifact cut": ("study", "register"),
    "artifact empty": ("gate", "check"),
    "artifact missing": ("preprocess", "gate"),
    "checkpoint or journal cut": ("study",),
    "checkpoint or journal ending in zeros": ("study",),
    "checkpoint or journal empty": ("study",),
    "champion moved before it is set": ("register",),
}
Lanes = tuple[Reference, "Queue[Lane]"]


@pytest.fixture(scope="module")
def lanes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lanes]:
    work, tried = tmp_path_factory.mktemp("faults"), {step for steps in CELLS.values() for step in steps}
    with (
        pytest.MonkeyPatch.context() as environment,
        kept_environment(environment),
        opened_lanes(work, 1, work / "reference", tried) as opened,
    ):
        yield opened


@contextmanager
def kept_environment(environment: pytest.MonkeyPatch) -> Iterator[None]:
    """Bring the variables that the fault table withdraws back at the end."""
    import os

    for name in list(os.environ):
        if name.startswith(("MLFLOW_", "S3_", "AWS_", "OPTUNA_", "CHECKPOINT_")):
            environment.setenv(name, os.environ[name])
    yield


@pytest.mark.parametrize(
    ("fault", "step"), [(fault, step) for fault, steps in CELLS.items() for step in steps]
)
def test_a_fault_decides_nothing(fault: str, step: str, lanes: Lanes, tmp_path: Path) -> None:
    reference, free = lanes
    scenario = next(found for found in scenarios() if found.fault == fault)
    verdict = run_cell((scenario, step), reference, free, tmp_path)
    if verdict.not_run:
        pytest.skip(verdict.not_run)
    good = {"same", "late"} if scenario.brief else {"same", "late", "loud"}
    assert verdict.outcome in good, verdict.line
    assert not verdict.lost


def test_the_table_has_cells_for_every_step() -> None:
    table = {(scenario.fault, step) for scenario in scenarios() for step in scenario.steps}
    assert {step for _, step in table} == set(STEPS)
    assert {(fault, step) for fault, steps in CELLS.items() for step in steps} <= table
    assert len(table) == 262
