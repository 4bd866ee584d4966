from pathlib import Path

import pytest

from components.common.errors import PipelineError
from pipelines.local.home import Home
from pipelines.local.run_logs import attempts_of, local_run_name, run_log_lines

RUN = "digits-fast-20261128-164021-fd4f4f"
# As kfp.local writes it, colours and all.
LOG = """\
16:40:50.453 - INFO - Running pipeline: \x1b[95m'mnist-pipeline'\x1b[0m
--------------------------------------------------------------------------------
16:40:50.453 - INFO - Executing task \x1b[96m'ingest'\x1b[0m
16:40:50.453 - INFO - Streamed logs:

[ingest] 1797 images
16:41:05.709 - INFO - Task \x1b[96m'ingest'\x1b[0m finished with status \x1b[92mSUCCESS\x1b[0m
--------------------------------------------------------------------------------
16:41:22.776 - INFO - Executing task \x1b[96m'search'\x1b[0m
16:41:22.776 - INFO - Executing task \x1b[96m'search'\x1b[0m
[tune] trial 1
[tune] error: no room
16:41:22.902 - ERROR - Task \x1b[96m'search'\x1b[0m finished with status \x1b[91mFAILURE\x1b[0m
[tune] trial 2
16:41:23.902 - INFO - Task \x1b[96m'search'\x1b[0m finished with status \x1b[92mSUCCESS\x1b[0m
16:41:24.000 - INFO - Executing task \x1b[96m'close-run'\x1b[0m
closing
"""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.prepare()
    (home.logs / f"{RUN}.log").write_text(LOG)
    (home.logs / "mlflow.log").write_text("no run's")
    return home


def test_each_step_has_its_part_and_steps_at_once_share_their_lines() -> None:
    assert [(part.step, part.state, part.lines) for part in attempts_of(LOG.splitlines())[0]] == [
        ("ingest", "succeeded", ["[ingest] 1797 images"]),
        ("search", "failed", ["[tune] trial 1", "[tune] error: no room"]),
        ("search", "succeeded", ["[tune] trial 1", "[tune] error: no room", "[tune] trial 2"]),
        ("close-run", "unfinished", ["closing"]),
    ]


def test_a_step_that_another_attempt_did_not_run_is_found_in_the_one_before(home: Home) -> None:
    lines = LOG.splitlines(keepends=True)
    both = [*lines, lines[0], *lines[-2:]]
    assert [[part.step for part in parts] for parts in attempts_of(both)] == [
        ["ingest", "search", "search", "close-run"],
        ["close-run"],
    ]
    (home.logs / f"{RUN}.log").write_text("".join(both))
    assert next(run_log_lines(home, RUN, None, 1)).startswith("close-run  unfinished")
    assert next(run_log_lines(home, RUN, "search", 1)).startswith("search  failed")


def test_the_failed_step_is_shown_unless_another_is_named(home: Home) -> None:
    log = home.logs / f"{RUN}.log"
    assert list(run_log_lines(home, "digits", None, 1)) == [
        f"search  failed  {log}",
        "[tune] error: no room",
    ]
    assert list(run_log_lines(home, RUN, "ingest", 9))[1:] == ["[ingest] 1797 images"]
    with pytest.raises(PipelineError, match=r"'tune' is none \(there is: ingest, search, close-run\)"):
        list(run_log_lines(home, RUN, "tune", 9))


def test_a_run_is_named_by_its_beginning_where_that_is_clear(home: Home) -> None:
    assert local_run_name(home, "digits-fast") == RUN
    (home.logs / "digits-best-1.log").touch()
    with pytest.raises(PipelineError, match=rf"'digits' may be .*{RUN}"):
        local_run_name(home, "digits")
    with pytest.raises(PipelineError, match="'mlflow' is none: choose one of `mnist-pipeline runs list`"):
        local_run_name(home, "mlflow")
    with pytest.raises(PipelineError, match="a step of run digits-best-1 must have started but none has"):
        list(run_log_lines(home, "digits-best-1", None, 1))
