"""Fixtures that several test modules share."""

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from pipelines.local.home import Home
from pipelines.local.platform import Platform, embedded_platform


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The home of the session's `platform`."""
    return Home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def platform(home: Home) -> Iterator[Platform]:
    """An embedded object store and MLflow server, started once."""
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as environment:
            for name in ("S3_ENDPOINT_URL", "MLFLOW_TRACKING_URI", "OPTUNA_STORAGE"):
                environment.delenv(name, raising=False)
            running = stack.enter_context(embedded_platform(home))
        yield running


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With FORBID_SKIPS in the environment a skipped test fails the session."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and reporter.stats.get("skipped") and os.environ.get("FORBID_SKIPS"):
        reporter.write_line(f"\nFORBID_SKIPS is set but {len(reporter.stats['skipped'])} skipped", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
