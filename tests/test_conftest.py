import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TESTS = """
import pytest

@pytest.mark.skipif({skipped}, reason="no GPU")
def test_one() -> None:
    pass
"""


@pytest.mark.parametrize(
    ("variable", "skipped", "status"), [("1", True, 1), ("1", False, 0), ("", True, 0)], ids=str
)
def test_skips_can_be_forbidden(tmp_path: Path, variable: str, skipped: bool, status: int) -> None:
    (tmp_path / "test_one.py").write_text(TESTS.format(skipped=skipped))
    command = [
        "-m",
        "pytest",
        "-c",
        os.devnull,
        "--rootdir",
        str(tmp_path),
        "-p",
        "tests.conftest",
        str(tmp_path),
    ]
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=os.environ | {"FORBID_SKIPS": variable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status
    assert ("FORBID_SKIPS is set but 1 skipped" in done.stdout) == bool(status)
