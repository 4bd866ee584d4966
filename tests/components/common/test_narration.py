import errno

import pytest

from components.common.errors import PipelineError
from components.common.narration import exit_on_stated_error, say


def test_progress_is_one_line_with_the_steps_name(capsys: pytest.CaptureFixture[str]) -> None:
    say("train-baseline", "epoch 1/4")
    assert capsys.readouterr().out == "[train-baseline] epoch 1/4\n"


def test_users_error_is_one_line_and_exit_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, exit_on_stated_error("ingest"):
        raise PipelineError("fraction must be above 0 but is 0")
    assert ended.value.code == 1
    assert capsys.readouterr() == ("[ingest] error: fraction must be above 0 but is 0\n", "")


def test_every_other_error_is_raised(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError), exit_on_stated_error("ingest"):
        _ = 1 / 0
    assert capsys.readouterr().out == ""


def test_a_full_disk_is_one_line_and_ends_a_step_as_an_outage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, exit_on_stated_error("ingest"):
        raise OSError(errno.ENOSPC, "No space left on device", "/data/file")
    assert ended.value.code == 75
    assert capsys.readouterr().out.startswith("[ingest] error: the disk of /data/file must have room but")
