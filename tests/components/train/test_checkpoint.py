"""A training that is killed, or preempted, ends with the very weights of an undisturbed one."""

import io
import json
import signal
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.common.data.dataset import Split
from components.common.errors import UnavailableError
from components.common.model.training_record import Epoch, weights_digest
from components.common.plan.training import TrainConfig
from components.common.storage.object_store import ObjectStore
from components.train.autosave import TERMINATED
from components.train.checkpoint import Checkpoint
from components.train.session import Session
from tests.forks import ForkedPython
from tests.gateways import Request, gateway
from tests.servers import Platform

Splits = tuple[Split, Split]
LONG = {"epochs": 25, "batch_size": 32, "compiled_loop": True}


@pytest.fixture
def stored(platform: Platform, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A place in a real object store."""
    for name, value in platform.environment.items():
        monkeypatch.setenv(name, value)
    return f"s3://{platform.bucket}/checkpoints/{tmp_path.name}.npz"


@pytest.fixture(params=["path", "store"])
def location(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "path":
        return str(tmp_path / "state.npz")
    return str(request.getfixturevalue("stored"))


def _halfway(splits: Splits, config: TrainConfig) -> Session:
    session = Session(*splits, config)
    session.run_until(session.milestones[0])
    session.score()
    session.run_until(session.step + 3)
    return session


# Where the state lies is the same to both loops.
@pytest.mark.parametrize(
    ("location", "compiled_loop"), [("path", True), ("store", False)], indirect=["location"]
)
def test_a_restored_training_ends_like_an_undisturbed_one(
    splits: Splits, random: TrainConfig, compiled_loop: bool, location: str
) -> None:
    config = random.differing(compiled_loop=compiled_loop)
    undisturbed, resumed = Session(*splits, config), Session(*splits, config)
    undisturbed.run(lambda _: None)
    checkpoint = Checkpoint(location)
    checkpoint.save(_halfway(splits, config))
    reported: list[Epoch] = []

    assert checkpoint.restore(resumed)
    resumed.run(reported.append)

    assert weights_digest(resumed.model) == weights_digest(undisturbed.model)
    assert [epoch.val_loss for epoch in resumed.history] == [epoch.val_loss for epoch in undisturbed.history]
    assert [epoch.loss for epoch in resumed.history] == pytest.approx(
        [epoch.loss for epoch in undisturbed.history]
    )
    assert reported == resumed.history[1:]


def test_without_a_save_nothing_is_restored_and_delete_leaves_nothing(
    splits: Splits, small: TrainConfig, location: str
) -> None:
    session = Session(*splits, small)
    checkpoint = Checkpoint(location)

    assert not checkpoint.restore(session)
    checkpoint.save(session)
    assert checkpoint.restore(session)
    checkpoint.delete()
    checkpoint.delete()
    assert not checkpoint.restore(session)


@pytest.fixture(scope="module")
def saved(splits: Splits, small: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("saved") / "state.npz"
    Checkpoint(str(path)).save(Session(*splits, small))
    return path.read_bytes()


@pytest.fixture(scope="module")
def untouched(splits: Splits, small: TrainConfig) -> Session:
    """A session that no damaged checkpoint may change."""
    return Session(*splits, small)


def _changed(saved: bytes, change: Callable[[list[Any], dict[str, Any]], object]) -> bytes:
    with np.load(io.BytesIO(saved)) as content:
        *arrays, progress = content.values()
    known = json.loads(str(progress))
    change(arrays, known)
    written = io.BytesIO()
    np.savez(written, *arrays, np.array(json.dumps(known)))
    return written.getvalue()


def _flipped(saved: bytes) -> bytes:
    middle = len(saved) // 2
    return saved[:middle] + bytes([saved[middle] ^ 1]) + saved[middle + 1 :]


def _an_array(saved: bytes) -> bytes:
    assert saved
    written = io.BytesIO()
    np.save(written, np.zeros(3))
    return written.getvalue()


def _long(saved: bytes) -> bytes:
    assert saved
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive, archive.open("arr_0.npy", "w") as member:
        np.lib.format.write_array_header_1_0(
            member, {"descr": "|u1", "fortran_order": False, "shape": (2**62,)}
        )
    return written.getvalue()


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "text": lambda _: b"half",
    "zeros": lambda saved: bytes(len(saved)),
    "cut": lambda saved: saved[: len(saved) // 2],
    "flipped": _flipped,
    "an array": _an_array,
    "an array longer than the memory": _long,
    "an archive without a member": lambda _: b"PK\x05\x06" + bytes(18),
    "one array less": lambda saved: _changed(saved, lambda arrays, _: arrays.pop()),
    "the last shape": lambda saved: _changed(saved, lambda arrays, _: arrays.append(arrays.pop()[None])),
    "the last type": lambda saved: _changed(
        saved, lambda arrays, _: arrays.append(arrays.pop().astype("S4"))
    ),
    "beyond the end": lambda saved: _changed(saved, lambda _, known: known.update(step=10**9)),
    "another history": lambda saved: _changed(saved, lambda _, known: known.update(history=[{"loss": 1.0}])),
    "three sums": lambda saved: _changed(saved, lambda _, known: known["sums"].pop()),
    "no object": lambda saved: _changed(saved, lambda _, known: known.clear()),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_set_aside_and_changes_nothing(
    saved: bytes, untouched: Session, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path, content, before = tmp_path / "state.npz", DAMAGES[damage](saved), weights_digest(untouched.model)
    path.write_bytes(content)

    assert not Checkpoint(str(path)).restore(untouched)
    assert (weights_digest(untouched.model), untouched.step, untouched.history) == (before, 0, [])
    assert not path.exists()
    assert (tmp_path / "state.npz.damaged").read_bytes() == content
    said = capsys.readouterr().out
    assert said.startswith(f"[checkpoint] {path} is no state of this training (")
    assert said.endswith("and is now state.npz.damaged; the training begins anew\n")
    assert not Checkpoint(str(path)).restore(untouched)


class _Full(Session):
    """A session for which there is no memory."""

    def __init__(self) -> None:
        pass

    def restore(self, arrays: list[Any], progress: Any) -> None:
        del arrays, progress
        raise MemoryError


def test_a_sound_checkpoint_stays_where_there_is_no_memory_for_it(saved: bytes, tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    path.write_bytes(saved)
    with pytest.raises(MemoryError):
        Checkpoint(str(path)).restore(_Full())
    assert path.read_bytes() == saved


def test_a_checkpoint_that_the_disk_does_not_hand_out_stays(untouched: Session, tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    path.symlink_to("/proc/self/mem")  # its first bytes cannot be read
    with pytest.raises(UnavailableError, match=r"must be a checkpoint that can be read but is not \(Input/"):
        Checkpoint(str(path)).restore(untouched)
    assert path.is_symlink()


def test_a_damaged_object_is_deleted(
    stored: str, untouched: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, key = ObjectStore.for_uri(stored)
    (tmp_path / "half").write_bytes(b"half")
    store.upload(tmp_path / "half", key)

    assert not Checkpoint(stored).restore(untouched)
    assert "and is deleted" in capsys.readouterr().out
    assert store.keys(key) == []


def test_a_damaged_object_that_the_store_does_not_delete_stays_until_the_next_save(
    stored: str,
    untouched: Session,
    platform: Platform,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store, key = ObjectStore.for_uri(stored)
    (tmp_path / "half").write_bytes(b"half")
    store.upload(tmp_path / "half", key)

    def keeping(asked: Request) -> tuple[int, bytes] | None:
        return (403, b"") if asked.method == "DELETE" else None

    with gateway(keeping, platform.s3_endpoint_url) as before:
        monkeypatch.setenv("S3_ENDPOINT_URL", before.address)
        checkpoint = Checkpoint(stored)
        assert not checkpoint.restore(untouched)
        said = capsys.readouterr().out
        checkpoint.save(untouched)
        assert checkpoint.restore(untouched)

    assert said.endswith(
        "and cannot be deleted: it stays until the next save replaces it; the training begins anew\n"
    )


@pytest.fixture(scope="module")
def whole(development: Path, random: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a long training in a process of its own said, which nothing disturbed."""
    return _train(
        development, random.differing(**LONG), tmp_path_factory.mktemp("whole"), interval=1e9
    ).output()


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM])
def test_a_training_that_is_killed_goes_on_to_the_same_weights(
    development: Path, random: TrainConfig, whole: str, tmp_path: Path, signal_number: signal.Signals
) -> None:
    config = random.differing(**LONG)
    interrupted = _train(development, config, tmp_path / "killed", interval=0.2)
    checkpoints = tmp_path / "killed" / "checkpoints"
    while not list(checkpoints.glob("*.npz")):
        assert interrupted.poll() is None
        time.sleep(0.02)
    interrupted.send_signal(signal_number)
    assert interrupted.wait() == (TERMINATED if signal_number == signal.SIGTERM else -signal.SIGKILL)
    assert not (tmp_path / "killed" / "model").exists()
    resumed = _train(development, config, tmp_path / "killed", interval=1e9).output()

    assert resumed.splitlines()[-1] == whole.splitlines()[-1]
    assert resumed.count("epoch") < whole.count("epoch")


def _train(development: Path, config: TrainConfig, directory: Path, interval: float) -> ForkedPython:
    code = (
        "import os; from pathlib import Path; from components.common.plan.training import TrainConfig; "
        "from components.train.fit import fit_model; "
        f"os.environ['CHECKPOINT_SECONDS'] = {str(interval)!r}; "
        f"config = TrainConfig.model_validate_json({config.model_dump_json()!r}); "
        f"training = fit_model(Path({str(development)!r}), config, recipe='mine', "
        f"target=Path({str(directory / 'model')!r}), on_epoch=lambda _: print('epoch'), "
        f"checkpoints={str(directory / 'checkpoints')!r}); print(training.weights_digest)"
    )
    return ForkedPython(code)
