"""`mnist-pipeline data inspect` on the command line; tests/e2e/test_data_commands.py looks at data of every form."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from components.common.errors import PipelineError
from components.common.storage.object_store import ObjectStore
from pipelines.cli.main import app
from pipelines.local.home import Home
from pipelines.local.platform import Platform

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("sheet", ["sheet.txt", "nowhere/sheet.png", "."])
def test_a_sheet_that_cannot_be_written_is_refused_before_the_data_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sheet: str
) -> None:
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(app, ["data", "inspect", "digits", "--sheet", sheet]).exception
    assert isinstance(told, PipelineError)
    assert str(told).startswith(
        f"--sheet must be a PNG file in a directory that can be written but is {sheet}: "
    )


def test_data_in_the_embedded_store_is_found_where_no_setting_names_it(
    platform: Platform, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (300, 12, 12), dtype=np.uint8)
    labels = np.arange(300) % 3
    np.savez(tmp_path / "made.npz", x_train=pixels, y_train=labels, x_test=pixels[:60], y_test=labels[:60])
    address = f"s3://{platform.bucket}/inspected/made.npz"
    with monkeypatch.context() as named:
        for name, value in platform.environment.items():
            named.setenv(name, value)
        store, key = ObjectStore.for_uri(address)
        store.upload(tmp_path / "made.npz", key)
    for name in platform.environment:
        monkeypatch.delenv(name, raising=False)

    # Not forked: it starts processes of its own, beside the thread that watches the servers.
    command = [sys.executable, "-W", "ignore", "-m", "pipelines.cli.main", "data", "inspect", address]
    command += ["--home", str(home.path), "--set", "batch_size=16", "--sheet", str(tmp_path / "sheet.png")]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)

    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith(f"form      npz, {address}\n")
