import os
import signal
import subprocess
from pathlib import Path

import pytest

from pipelines.local.supervisor import Group


def test_the_group_is_signalled_while_its_number_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(os, "killpg", lambda number, _: asked.append(Path(f"/proc/{number}").exists()))
    before = signal.getsignal(signal.SIGTERM)
    group = Group(subprocess.Popen(["sh", "-c", "exit 3"], start_new_session=True))
    try:
        assert group.wait() == 3
    finally:
        signal.signal(signal.SIGTERM, before)
    group.signal(signal.SIGKILL)
    assert asked == [True]
