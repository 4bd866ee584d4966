import shutil
import subprocess
from pathlib import Path

import pytest

from components.common import provenance
from components.common.provenance import git_sha


@pytest.fixture(autouse=True)
def no_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GIT_SHA", raising=False)


@pytest.fixture
def source_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the code seems to lie."""
    directory = tmp_path / "components"
    directory.mkdir()
    monkeypatch.setattr(provenance, "__file__", str(directory / "provenance.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    return directory


def _git(directory: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    return subprocess.run(
        ["git", *identity, *arguments], cwd=directory, capture_output=True, text=True, check=True
    ).stdout.strip()


def test_the_images_commit_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_SHA", "3f2a" * 10)
    assert git_sha() == "3f2a" * 10


def test_else_it_is_the_checkouts(source_directory: Path) -> None:
    _git(source_directory, "init", "--quiet")
    file = source_directory / "file.txt"
    file.write_text("one")
    _git(source_directory, "add", ".")
    _git(source_directory, "commit", "--quiet", "-m", "one")
    _git(source_directory, "tag", "v1")
    commit = _git(source_directory, "rev-parse", "HEAD")

    assert git_sha() == commit
    file.write_text("two")
    assert git_sha() == f"{commit}-dirty"


def test_code_outside_of_a_checkout_has_no_commit(source_directory: Path) -> None:
    assert source_directory.is_dir()
    assert git_sha() == "unknown"


def test_without_git_there_is_no_commit(source_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _git(source_directory, "init", "--quiet")
    monkeypatch.setenv("PATH", str(source_directory))
    assert shutil.which("git") is None
    assert git_sha() == "unknown"
