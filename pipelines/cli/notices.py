"""`mnist-pipeline notify`: a trial of the receivers of notices."""

import typer

from pipelines.cli.answers import print_line

app = typer.Typer()


@app.command(name="notify")
def try_receivers() -> None:
    """Send a trial notice to every receiver that the settings name, and say which of them took it."""
    from components.common.errors import PipelineError
    from components.common.notify import Notice, deliver

    trial = Notice("failed", "a trial of mnist-pipeline's notices", ("nothing has failed",), None)
    outcome = deliver(trial)
    if not outcome:
        raise PipelineError(
            "a receiver of notices must be named but is not: set NOTIFY_SLACK_URL, NOTIFY_WEBHOOK_URL or "
            "NOTIFY_SMTP_URL."
        )
    for receiver, failure in outcome.items():
        print_line(f"{receiver} {f'told nobody: {failure}' if failure else 'took it'}")
    if any(outcome.values()):
        raise typer.Exit(1)
