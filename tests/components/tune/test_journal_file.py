import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from components.common.errors import PipelineError
from components.common.model.training_record import Training
from components.common.plan.space import SEARCH_SPACE
from components.tune.halving import Known
from components.tune.journal_file import JournalLock
from components.tune.study import SearchRecord, create_study, load_study

TORN = b'{"op_code": 5, "worker_id": "x", "tri'


@pytest.mark.parametrize("tail", [TORN, bytes(64), TORN + bytes(64)], ids=["torn", "zeros", "torn, zeros"])
@pytest.mark.parametrize("opened_again", [True, False])
def test_a_tail_that_was_not_written_to_its_end_is_cut_off(
    journal: Path, baseline: Training, capsys: pytest.CaptureFixture[str], tail: bytes, opened_again: bool
) -> None:
    living = SearchRecord(create_study("run", baseline, SEARCH_SPACE, trials=3, seeds=1, seed=0))
    living.score(1, 0, 0.25)
    with journal.open("ab") as file:
        file.write(tail)

    record = SearchRecord(load_study("run")) if opened_again else living
    record.score(2, 0, 0.5)

    assert SearchRecord(load_study("run")).known() == {1: Known({0: 0.25}), 2: Known({0: 0.5})}
    assert f"is cut off, {len(tail)} bytes" in capsys.readouterr().out
    assert tail not in journal.read_bytes()


@pytest.mark.parametrize("line", [TORN, b"[]", b"\xff", bytes(64), b'{"op_code": 99}'])
def test_lines_that_are_no_entries_are_set_aside(
    journal: Path, baseline: Training, capsys: pytest.CaptureFixture[str], line: bytes
) -> None:
    SearchRecord(create_study("run", baseline, SEARCH_SPACE, trials=2, seeds=1, seed=0)).score(1, 0, 0.5)
    first, rest = journal.read_bytes().split(b"\n", 1)
    journal.write_bytes(b"\n".join([first, line, rest]))

    assert SearchRecord(load_study("run")).known() == {1: Known({0: 0.5})}
    assert Path(f"{journal}.damaged").read_bytes() == line + b"\n"
    assert "are now in study.journal.damaged" in capsys.readouterr().out
    load_study("run")
    assert "damaged" not in capsys.readouterr().out


@pytest.mark.parametrize("lost", ["trial_id", '"datetime_start"', "seeds", "study_name"])
def test_a_study_that_has_lost_entries_is_refused_and_never_taken_for_another(
    journal: Path, baseline: Training, lost: str
) -> None:
    SearchRecord(create_study("run", baseline, SEARCH_SPACE, trials=3, seeds=1, seed=0)).score(2, 0, 0.5)
    kept = journal.read_text().splitlines(keepends=True)
    entry = next((line for line in kept if lost in line), kept[-1])
    if lost == "trial_id":
        entry = next(line for line in kept if '"op_code":4' in line)
    kept.remove(entry)
    journal.write_text("".join(kept))

    with pytest.raises(PipelineError, match=r"must hold all trials of run but does not: run the pipeline"):
        load_study("run")


def test_a_file_that_is_no_journal_is_moved_and_the_next_study_begins_anew(
    journal: Path, baseline: Training
) -> None:
    journal.write_text('{"op_code": 0, "worker_id": "x"}\n')

    with pytest.raises(PipelineError, match=r"and is now study\.journal\.damaged: run the pipeline again"):
        create_study("run", baseline, SEARCH_SPACE, trials=2, seeds=1, seed=0)
    assert len(create_study("run", baseline, SEARCH_SPACE, trials=2, seeds=1, seed=0).trials) == 2


def test_a_killed_writer_leaves_no_lock(journal: Path, find_locked: Callable[[], bool]) -> None:
    journal.touch()
    script = f"""
import pathlib, time
from components.tune.journal_file import JournalLock
lock = JournalLock(pathlib.Path({str(journal)!r}))
lock.acquire()
print("locked", flush=True)
time.sleep(300)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as writer:
        assert writer.stdout
        writer.stdout.readline()
        assert find_locked()
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    lock = JournalLock(journal)
    assert lock.acquire()
    lock.release()
    assert not find_locked()


@pytest.fixture
def find_locked(journal: Path) -> Callable[[], bool]:
    """Says whether somebody has the journal's lock."""
    import fcntl

    def locked() -> bool:
        with Path(f"{journal}.lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    return locked
