import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import Mock

import pytest

from components.common.model.training_record import Training
from components.common.plan.space import SEARCH_SPACE
from components.tune.halving import Known
from components.tune.journal_file import JournalLock, open_journal
from components.tune.study import SearchRecord, open_study
from tests.records import stored_study

TORN = b'{"op_code": 5, "worker_id": "x", "tri'


@pytest.mark.parametrize("tail", [TORN, bytes(64), TORN + bytes(64)], ids=["torn", "zeros", "torn, zeros"])
@pytest.mark.parametrize("opened_again", [True, False])
def test_a_tail_that_was_not_written_to_its_end_is_cut_off(
    journal: Path, baseline: Training, capsys: pytest.CaptureFixture[str], tail: bytes, opened_again: bool
) -> None:
    living = SearchRecord(open_study("run", baseline, SEARCH_SPACE, trials=3, seeds=1, seed=0), images=1000)
    living.score(1, 0, 0.25)
    with journal.open("ab") as file:
        file.write(tail)

    record = SearchRecord(stored_study(), images=1000) if opened_again else living
    record.score(2, 0, 0.5)

    assert SearchRecord(stored_study(), images=1000).known() == {1: Known({0: 0.25}), 2: Known({0: 0.5})}
    assert f"is cut off, {len(tail)} bytes" in capsys.readouterr().out
    assert tail not in journal.read_bytes()


@pytest.mark.parametrize("line", [TORN, b"[]", b"\xff", bytes(64), b'{"op_code": 99}'])
def test_lines_that_are_no_entries_are_set_aside(
    journal: Path, baseline: Training, capsys: pytest.CaptureFixture[str], line: bytes
) -> None:
    SearchRecord(open_study("run", baseline, SEARCH_SPACE, trials=2, seeds=1, seed=0), images=1000).score(
        1, 0, 0.5
    )
    first, rest = journal.read_bytes().split(b"\n", 1)
    journal.write_bytes(b"\n".join([first, line, rest]))

    assert SearchRecord(stored_study(), images=1000).known() == {1: Known({0: 0.5})}
    assert Path(f"{journal}.damaged").read_bytes() == line + b"\n"
    assert "are now in study.journal.damaged" in capsys.readouterr().out
    stored_study()
    assert "damaged" not in capsys.readouterr().out


def test_a_sound_journal_stays_where_there_is_no_memory_for_it(
    journal: Path, baseline: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    SearchRecord(open_study("run", baseline, SEARCH_SPACE, trials=2, seeds=1, seed=0), images=1000).score(
        1, 0, 0.5
    )
    content = journal.read_bytes()
    monkeypatch.setattr("optuna.storages.JournalStorage", Mock(side_effect=MemoryError))
    with pytest.raises(MemoryError):
        open_journal(journal)
    assert journal.read_bytes() == content


@pytest.mark.parametrize("lost", ["trial_id", '"datetime_start"', '"number":1', "seeds", "study_name"])
def test_a_study_that_has_lost_entries_has_all_trials_again_and_no_score_of_another(
    journal: Path, baseline: Training, lost: str
) -> None:
    def opened() -> SearchRecord:
        return SearchRecord(open_study("run", baseline, SEARCH_SPACE, trials=3, seeds=2, seed=0), images=1000)

    whole = opened()
    options = {trial: whole.options(trial) for trial in (1, 2)}
    whole.score(2, 0, 0.5)
    kept = journal.read_text().splitlines(keepends=True)
    entry = next((line for line in kept if lost in line), kept[-1])
    if lost == "trial_id":
        entry = next(line for line in kept if '"op_code":4' in line)
    kept.remove(entry)
    journal.write_text("".join(kept))

    again = opened()

    scored = Known({0: 0.5}) if lost == "seeds" else Known()
    assert (again.seeds, again.baseline, again.known()) == (2, 0.0, {1: Known(), 2: scored})
    assert {trial: again.options(trial) for trial in (1, 2)} == options
    again.score(2, 0, 0.25)
    assert opened().known() == {1: Known(), 2: Known({0: 0.25})}


def test_workers_that_find_a_journal_of_others_make_the_trials_once(
    journal: Path, baseline: Training, capsys: pytest.CaptureFixture[str]
) -> None:
    journal.write_text('{"op_code": 0, "worker_id": "x"}\n')

    with ThreadPoolExecutor() as workers:
        studies = [
            workers.submit(open_study, "run", baseline, SEARCH_SPACE, trials=9, seeds=1, seed=0)
            for _ in range(4)
        ]
    assert [len(study.result().trials) for study in studies] == [9] * 4
    assert capsys.readouterr().out.count("it is now study.journal.damaged") == 1
    assert [trial.user_attrs["number"] for trial in stored_study().trials] == [*range(9)]


def test_a_killed_writer_leaves_no_lock(journal: Path, find_locked: Callable[[], bool]) -> None:
    journal.touch()
    script = f"""
import pathlib, time
from components.tune.journal_file import JournalLock, open_journal
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
