"""The fault table: which faults meet which steps."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.error import HTTPError

from benchmarks.reliability.cells import PATIENCE, Cell, Scenario, Server
from benchmarks.reliability.proxy import Fault
from benchmarks.reliability.reference import client
from benchmarks.reliability.steps import STEPS
from components.common.storage.s3 import DEFAULT_BUCKET
from pipelines.local.mlflow_api import call_mlflow

ALL = tuple(STEPS)
STORING = ("ingest", "train", "search", "choose", "evaluate", "register")
READING = ("ingest", "train", "search", "evaluate", "register")
SEARCHING = ("study", "search", "choose")
WRITING = ("ingest", "preprocess", "train", "study", "search", "choose", "evaluate", "register")
HANDED = tuple(name for name, step in STEPS.items() if step.hurt)
STATEFUL = ("train", "study", "search", "choose")
CLOCKED = ("ingest", "check", "train", "study", "search", "register")
TOGETHER = ("ingest", "check", "train", "search", "register")


def hurt_artifact(damage: "Callable[[Path], None]", cell: Cell) -> None:
    """Damage the artifact of a step that another step handed it."""
    damage(cell.place.given / STEPS[cell.step].hurt)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def remove(path: Path) -> None:
    path.unlink()


def zeros(path: Path) -> None:
    """Damage as a power cut does: the size is there, the end of the content is not."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3] + bytes(len(content) - len(content) * 2 // 3))


def foreign(path: Path) -> None:
    path.write_bytes(b"something else\n" * 20)


def hurt_state(damage: "Callable[[Path], None]", cell: Cell) -> None:
    """Damage the state that a step goes on from: that of an interrupted training, or the journal of the study."""
    if cell.step != "train":
        journal = Path(cell.place.variables["OPTUNA_STORAGE"])
        if not journal.exists():
            journal.write_text('{"op_code": 0}\n')
        damage(journal)
        return
    s3 = client(cell.lane)
    prefix = cell.place.variables["CHECKPOINT_DIR"].removeprefix(f"s3://{DEFAULT_BUCKET}/")
    scratch = cell.directory / "state"
    for item in s3.list_objects_v2(Bucket=DEFAULT_BUCKET, Prefix=prefix)["Contents"]:
        scratch.write_bytes(s3.get_object(Bucket=DEFAULT_BUCKET, Key=item["Key"])["Body"].read())
        damage(scratch)
        s3.put_object(Bucket=DEFAULT_BUCKET, Key=item["Key"], Body=scratch.read_bytes())


def move_champion_by_hand(cell: Cell) -> None:
    """Make another version the champion of the cell's model, as somebody does in MLflow's page."""
    uri, name = cell.lane.tracking_uri, cell.place.plan.model_name
    with suppress(HTTPError):
        call_mlflow(uri, "registered-models/create", {"name": name})
    version = {"name": name, "source": "models:/reference-champion/1"}
    made = call_mlflow(uri, "model-versions/create", version)["model_version"]["version"]
    call_mlflow(uri, "registered-models/alias", {"name": name, "alias": "champion", "version": made})


def own_champion(cell: Cell) -> None:
    """Compare with a champion that no other cell uses."""
    name = f"{cell.directory.name}-champion"
    cell.reference.register(cell.lane, name)
    registry = cell.place.plan.registry.model_copy(update={"model": name})
    cell.place = replace(cell.place, plan=cell.place.plan.model_copy(update={"registry": registry}))


def move_own_champion(cell: Cell) -> None:
    """Make a copy of the champion's version the champion."""
    uri, name = cell.lane.tracking_uri, cell.place.plan.model_name
    first = call_mlflow(uri, f"model-versions/get?name={name}&version=1")["model_version"]
    copied = {key: first[key] for key in ("name", "source", "run_id", "tags") if key in first}
    # MLflow asks for the id beside the source that names it.
    copied["model_id"] = first["source"].removeprefix("models:/")
    made = call_mlflow(uri, "model-versions/create", copied)["model_version"]["version"]
    call_mlflow(uri, "registered-models/alias", {"name": name, "alias": "champion", "version": made})


def scenarios() -> list[Scenario]:
    """Return the rows of the table."""
    return [*_process(), *_store(), *_mlflow(), *_full_length(), *_database(), *_disk(), *_given()]


def _process() -> list[Scenario]:
    moments = {"at its first touch": 0.0, "in the middle": 0.5, "at its last touch": 1.0}
    return [
        *(
            Scenario(f"kill -9 {when}", "kill", ALL, brief=True, what="kill", at=at)
            for when, at in moments.items()
        ),
        Scenario("SIGTERM in the middle", "kill", ALL, brief=True, what="terminate"),
        *(Scenario(f"clock {hours:+d} h", "clock", CLOCKED, what="clock", at=hours) for hours in (1, -1)),
        Scenario("second run at the same moment", "second", TOGETHER, twice=True),
        Scenario(
            "64 MiB of memory",
            "memory",
            ("ingest", "preprocess", "train", "search", "evaluate", "register"),
            what="memory",
        ),
    ]


def _store() -> list[Scenario]:
    refuse = partial(Fault, "refuse")
    long = PATIENCE * 1.5
    return [
        Scenario("store refuses, 2 s", "store", STORING, True, "store", refuse(seconds=2), at=0),
        Scenario(
            "store refuses, half the patience", "store", STORING, True, "store", refuse(seconds=PATIENCE / 2)
        ),
        Scenario(
            "store refuses, longer than the patience", "store", STORING, False, "store", refuse(seconds=long)
        ),
        Scenario("store silent", "store", STORING, True, "store", Fault("silent", seconds=PATIENCE / 2)),
        Scenario(
            "store answers 503 to each 5th request",
            "store",
            STORING,
            True,
            "store",
            Fault("error", each=5),
            at=0,
        ),
        Scenario(
            "store cuts an object",
            "wire",
            READING,
            True,
            "store",
            Fault("cut", path="GET ", seconds=3),
            at=0,
            prior=True,
        ),
        Scenario(
            "store flips a bit",
            "wire",
            READING,
            False,
            "store",
            Fault("flip", path="GET ", seconds=3),
            at=0,
            prior=True,
        ),
    ]


def _mlflow() -> list[Scenario]:
    refuse = partial(Fault, "refuse")
    long = PATIENCE * 1.5
    rows = {
        "MLflow refuses, 2 s": (True, refuse(seconds=2), 0.0),
        "MLflow refuses, half the patience": (True, refuse(seconds=PATIENCE / 2), 0.5),
        "MLflow refuses, longer than the patience": (False, refuse(seconds=long), 0.5),
        "MLflow silent": (True, Fault("silent", seconds=PATIENCE / 2), 0.5),
        "MLflow answers 429 to each 5th request": (True, Fault("error", each=5, status=429), 0.0),
        "MLflow answers 500 to each 5th request": (True, Fault("error", each=5, status=500), 0.0),
    }
    return [
        Scenario(name, "mlflow", ALL, brief, "mlflow", wire, at=at)
        for name, (brief, wire, at) in rows.items()
    ]


def _full_length() -> list[Scenario]:
    """Return outages of minutes, with the patience that steps have by default."""
    minutes = Fault("refuse", seconds=240)
    rows: tuple[tuple[str, Server, str], ...] = (
        ("store", "store", "train"),
        ("MLflow", "mlflow", "register"),
    )
    return [
        Scenario(
            f"{name} refuses, 4 min of 5", "full", (step,), True, server, minutes, patience=300, bound=900
        )
        for name, server, step in rows
    ]


def _database() -> list[Scenario]:
    def restart(cell: Cell) -> None:
        if cell.lane.postgres:
            cell.lane.postgres.control("restart", "-m", "fast")

    def terminate(cell: Cell) -> None:
        if cell.lane.postgres:
            cell.lane.postgres.terminate_backends()

    def row(name: str, **more: object) -> Scenario:
        return Scenario(name, "database", SEARCHING, True, "database", **more)  # type: ignore[arg-type]

    return [
        row("PostgreSQL restarted", beside=restart),
        row("PostgreSQL's connections terminated", beside=terminate),
        row("PostgreSQL silent", wire=Fault("silent", seconds=PATIENCE / 2)),
    ]


def _disk() -> list[Scenario]:
    moments = {"at its first touch": 0.0, "in the middle": 0.5, "at its last touch": 1.0}
    return [
        Scenario(f"disk full {when}", "disk", WRITING, what="full", at=at) for when, at in moments.items()
    ]


def _given() -> list[Scenario]:
    damages = {"one bit flipped": flip, "cut": cut, "empty": empty, "missing": remove}
    states = {"cut": cut, "empty": empty, "ending in zeros": zeros, "foreign": foreign}
    return [
        *(
            Scenario(f"artifact {name}", "artifact", HANDED, before=partial(hurt_artifact, damage))
            for name, damage in damages.items()
        ),
        *(
            Scenario(
                f"checkpoint or journal {name}",
                "state",
                STATEFUL,
                before=partial(hurt_state, damage),
                prior=True,
            )
            for name, damage in states.items()
        ),
        Scenario(
            "champion moved before it is set",
            "champion",
            ("register",),
            beside=move_champion_by_hand,
            final=True,
        ),
        Scenario(
            "champion moved while it is compared",
            "champion",
            ("evaluate",),
            before=own_champion,
            beside=move_own_champion,
        ),
    ]
