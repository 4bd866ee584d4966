import errno
import os
import shutil
from pathlib import Path

import pytest
from mlflow.entities import FileInfo
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repo import ArtifactRepository

from components.common.errors import PipelineError, UnavailableError, first_line, of_outage, stated


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("one line"), "one line"),
        (OSError("the cause\nand its details"), "the cause"),
        (EOFError(), "EOFError"),
    ],
)
def test_the_first_line_of_an_error_is_its_message_or_its_type(error: Exception, expected: str) -> None:
    assert first_line(error) == expected


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("wrapper", [None, ValueError("no"), PipelineError("the home must be writable")])
def test_a_full_disk_is_an_outage_in_one_line_whatever_wraps_it(
    number: int, wrapper: Exception | None
) -> None:
    error: Exception = OSError(number, os.strerror(number), "/home/run.json")
    if wrapper:
        wrapper.__cause__, error = error, wrapper
    told = stated(error)
    assert isinstance(told, UnavailableError)
    assert told.exit_status == 75
    assert str(told).startswith("the disk of /home/run.json must have room but has none (")


def test_a_full_disk_is_an_outage_where_a_directory_is_copied() -> None:
    reasons = [("a", "b", f"[Errno {errno.ENOSPC}] {os.strerror(errno.ENOSPC)}: 'b'")]
    assert isinstance(stated(shutil.Error(reasons)), UnavailableError)
    assert stated(shutil.Error([("a", "b", "denied")])) is None


def test_a_full_disk_is_an_outage_where_mlflow_fetches_files(tmp_path: Path) -> None:
    """MLflow's client fetches them in threads, and gathers their errors as texts."""

    class Repository(ArtifactRepository):  # type: ignore[misc]
        def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
            raise NotImplementedError

        log_artifacts = log_artifact

        def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
            return [] if path else [FileInfo(name, is_dir=False, file_size=1) for name in ("a", "b")]

        def _download_file(self, remote_file_path: str, local_path: str) -> None:
            del remote_file_path
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), local_path)

    with pytest.raises(MlflowException) as raised:
        Repository("mlflow-artifacts:/files").download_artifacts("", str(tmp_path))
    told = stated(raised.value)
    assert isinstance(told, UnavailableError)
    assert "the disk must have room but has none" in str(told)


def test_a_stated_error_is_itself_and_a_defect_is_not_told() -> None:
    error = PipelineError("x must be y")
    assert stated(error) is error
    assert stated(OSError(errno.EACCES, "denied")) is None
    assert stated(KeyError("x")) is None


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't start new thread")])
def test_memory_that_is_used_up_is_an_outage(error: Exception) -> None:
    told = stated(error)
    assert isinstance(told, UnavailableError)
    assert "memory" in str(told)
    assert stated(RuntimeError("another")) is None


def test_a_name_from_outside_cannot_break_the_line() -> None:
    assert str(PipelineError("it is a\nb\x1b[2J\udcff, größer")) == "it is a\\nb\\x1b[2J\\udcff, größer"


def test_an_outage_says_nothing_about_what_was_read() -> None:
    assert of_outage(UnavailableError("no answer"))
    assert of_outage(OSError(errno.ENOSPC, "full"))
    unreadable = PipelineError("it must be readable")
    assert not of_outage(unreadable)
    unreadable.__cause__ = MemoryError()
    assert of_outage(unreadable)
    assert not of_outage(ValueError("damaged"))
