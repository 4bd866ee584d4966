"""Fixtures that several test modules share, and a switch that forbids skipped tests."""

import os
import sys

import pytest

pytest_plugins = ["tests.servers"]


@pytest.fixture(autouse=True)
def default_number_format() -> None:
    """Let layers calculate in float32, whatever a test before has trained."""
    if keras := sys.modules.get("keras"):
        keras.config.set_dtype_policy("float32")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With FORBID_SKIPS in the environment a skipped test fails the session."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and reporter.stats.get("skipped") and os.environ.get("FORBID_SKIPS"):
        reporter.write_line(f"\nFORBID_SKIPS is set but {len(reporter.stats['skipped'])} skipped", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
