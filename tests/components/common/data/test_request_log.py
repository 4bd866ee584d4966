import io
import struct
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from numpy.typing import NDArray

from components.common.data import request_log
from components.common.data.request_log import LONGEST_BATCH, Requests, read_requests, write_requests
from components.common.errors import PipelineError
from components.common.storage.object_store import ObjectStore

# A second before midnight, so that a batch reaches into the next day.
START = datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC).timestamp()


def logged(*times: float, size: int = 4, name: str = "a") -> Requests:
    rng = np.random.default_rng(0)
    return Requests(
        np.array([f"{name}-{row}" for row in range(len(times))]),
        START + np.array(times),
        rng.integers(0, 256, (len(times), size, size, 1), np.uint8),
        rng.dirichlet(np.ones(3), len(times)).astype(np.float32),
        np.array(["7"] * len(times)),
        np.array([row % 2 == 0 for row in range(len(times))]),
    )


def test_a_window_is_read_as_it_was_written_in_order(store: ObjectStore) -> None:
    late, early = logged(5, 9, name="late"), logged(0, 2, 4, name="early")
    keys = [write_requests(store, "watched/requests", part) for part in (late, early)]
    assert keys[0].startswith("watched/requests/2026-03-02/000004-")
    assert keys[1].startswith("watched/requests/2026-03-01/235959-")
    found = read_requests(store, "watched/requests", START + 2, START + 9)
    assert found is not None
    assert found.ids.tolist() == ["early-1", "early-2", "late-0"]
    for name, dtype in (("images", "uint8"), ("probabilities", "float32"), ("times", "float64")):
        expected = np.concatenate([getattr(early, name)[1:], getattr(late, name)[:1]])
        assert getattr(found, name).dtype == dtype
        np.testing.assert_array_equal(getattr(found, name), expected)
    assert found.rejected.tolist() == [False, True, True]
    assert read_requests(store, "watched/requests", START + 9.5, START + 99) is None
    # A batch that began before the window reaches into it.
    write_requests(store, "long", logged(0, LONGEST_BATCH - 1))
    found = read_requests(store, "long", START + 60, START + LONGEST_BATCH)
    assert found is not None
    assert found.ids.tolist() == ["a-1"]


def test_odd_files_are_left_out_and_told(
    store: ObjectStore, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def put(name: str, content: bytes) -> None:
        (tmp_path / "file").write_bytes(content)
        store.upload(tmp_path / "file", f"log/2026-03-01/{name}")

    def packed(**changed: Any) -> bytes:
        target = io.BytesIO()
        whole = {name: getattr(logged(1, 2), name) for name in request_log.FORMS}
        np.savez(target, **(whole | changed))
        return target.getvalue()

    write_requests(store, "log", logged(0, 1))
    put("235957-0.npz", b"no zip")
    put("235957-1.npz", packed()[:-40])
    put("235957-2.npz", packed(ids=np.array(["a", "b"], object)))
    put("235957-3.npz", packed(rejected=np.zeros(3, bool)))
    put("235957-4.npz", packed(probabilities=np.full((2, 3), np.nan, np.float32)))
    put("235957-5.npz", packed(images=np.zeros((2, 9, 9, 1), np.uint8)))
    put("235957-6.npz", packed(images=np.zeros((2, 9, 9, 1), np.uint16)))
    put("235957.csv", b"id,label")
    found = read_requests(store, "log", START - 5, START + 5)
    assert found is not None
    assert len(found) == 2
    told = capsys.readouterr().out
    for number in range(7):
        assert f"235957-{number}.npz is left out: " in told
    assert "csv" not in told
    monkeypatch.setattr(request_log, "LARGEST_REQUEST_LOG", 100)
    assert read_requests(store, "log", START - 5, START + 5) is None
    assert "must be at most 100 but is" in capsys.readouterr().out


LOCAL, CENTRAL = b"PK\x03\x04", b"PK\x01\x02"
HEADER = "{'descr': '%s', 'fortran_order': False, 'shape': (%s,), }"


def npy(array: NDArray[Any]) -> bytes:
    target = io.BytesIO()
    np.save(target, array)
    return target.getvalue()


def npy_of(header: str) -> bytes:
    """Return an npy file without values, given its header."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + f"{header}\n".encode()


def archive(method: int = zipfile.ZIP_STORED, **changed: bytes) -> bytes:
    members = {name: npy(getattr(logged(1, 2), name)) for name in request_log.FORMS}
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as packed:
        for name, content in (members | changed).items():
            packed.writestr(f"{name}.npy", content)
    return target.getvalue()


def poked(content: bytes, start: bytes, offset: int, value: int) -> bytes:
    """Return a zip file with another byte, at an offset from the first record that starts so."""
    at = content.index(start) + offset
    return content[:at] + bytes([value]) + content[at + 1 :]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (archive(ids=b"text and no array"), "magic string is not correct"),
        (poked(archive(zipfile.ZIP_DEFLATED), LOCAL, 30 + len("ids.npy"), 7), "invalid block type"),
        (poked(archive(), CENTRAL, 8, 1), "is encrypted"),
        (poked(archive(), CENTRAL, 10, 99), "compressed by method 99"),
        (archive(zipfile.ZIP_BZIP2), "compressed by method 12"),
        (archive(times=npy_of(HEADER % ("<f8", 2**40))), "announced bytes must be at most"),
        (archive(times=npy_of(HEADER % ("<f8", 2**20))), "must hold 8388608 bytes after its header"),
        (archive(times=npy_of("-" * 9000)), "must be an intact array"),
        (archive(versions=npy_of(HEADER % ("<U0", 2))), "itemsize cannot be zero"),
        (archive(ids=npy(np.array([65, 0x110000], np.uint32).view("<U1"))), "beyond Unicode"),
    ],
    ids=["text", "deflate", "encrypted", "unknown", "bzip2", "huge", "short", "deep", "empty", "letter"],
)
def test_a_file_that_is_damaged_in_any_way_is_left_out_alone(
    store: ObjectStore, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, reason: str
) -> None:
    write_requests(store, "log", logged(0, 1))
    (tmp_path / "file").write_bytes(content)
    store.upload(tmp_path / "file", "log/2026-03-01/235957-0.npz")
    found = read_requests(store, "log", START - 5, START + 5)
    assert found is not None
    assert len(found) == 2
    (told,) = capsys.readouterr().out.splitlines()
    assert "235957-0.npz is left out: " in told
    assert reason in told


def test_no_memory_is_no_fault_of_a_file(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> NoReturn:
        raise PipelineError("it must be read") from MemoryError()

    write_requests(store, "log", logged(0, 1))
    monkeypatch.setattr(request_log, "NpyFile", fail)
    with pytest.raises(PipelineError, match="it must be read"):
        read_requests(store, "log", START - 5, START + 5)


def test_only_the_newest_fill_the_memory(
    store: ObjectStore, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for second in range(3):
        write_requests(store, "log", logged(second, name=str(second)))
    monkeypatch.setattr(request_log, "LARGEST_IN_MEMORY", 2 * 16)
    found = read_requests(store, "log", START, START + 5)
    assert found is not None
    assert found.ids.tolist() == ["1-0", "2-0"]
    assert "the newer ones fill the memory" in capsys.readouterr().out


def test_windows_and_batches_are_bounded(store: ObjectStore) -> None:
    with pytest.raises(PipelineError, match="a window must start before its end"):
        read_requests(store, "log", START, START)
    with pytest.raises(PipelineError, match="days of a window must be at most 366"):
        read_requests(store, "log", 0, START)
    with pytest.raises(PipelineError, match="seconds of a batch must be at most 3,600"):
        write_requests(store, "log", logged(0, LONGEST_BATCH + 1))
