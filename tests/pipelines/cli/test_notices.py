import pytest
from typer.testing import CliRunner

from components.common.errors import PipelineError
from pipelines.cli.main import app
from tests.receivers import Webhook


def test_a_trial_says_which_receivers_took_it(webhook: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NOTIFY_WEBHOOK_URL", "NOTIFY_SMTP_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NOTIFY_KINDS", "drift")
    monkeypatch.setenv("NOTIFY_SLACK_URL", webhook)
    Webhook.statuses.extend([200, 404])
    taken, refused = (CliRunner().invoke(app, ["notify"]) for _ in range(2))
    assert (taken.exit_code, taken.output) == (0, "NOTIFY_SLACK_URL took it\n")
    assert (refused.exit_code, refused.output) == (
        1,
        "NOTIFY_SLACK_URL told nobody: it answered with status 404.\n",
    )
    monkeypatch.delenv("NOTIFY_SLACK_URL")
    with pytest.raises(PipelineError, match="must be named but is not: set NOTIFY_SLACK_URL"):
        CliRunner().invoke(app, ["notify"], catch_exceptions=False)
