"""Fixtures that several test modules share, and a switch that forbids skipped tests."""

import gc
import os
import signal

import pytest

pytest_plugins = ["tests.servers", "tests.receivers", "tests.forks"]


def pytest_configure() -> None:
    """Let Ctrl-C reach what tests start, and look for garbage less often.

    In a shell's background a command ignores Ctrl-C, and so does what it starts.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # A worker imports half a million objects. The search for garbage among them takes a tenth of its time.
    gc.set_threshold(50_000)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With FORBID_SKIPS in the environment a skipped test fails the session."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and reporter.stats.get("skipped") and os.environ.get("FORBID_SKIPS"):
        reporter.write_line(f"\nFORBID_SKIPS is set but {len(reporter.stats['skipped'])} skipped", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
