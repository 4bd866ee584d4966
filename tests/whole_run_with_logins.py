"""The whole pipeline and the commands after it, over a login, TLS with a private CA, a prefix and a workspace.

`python -m tests.whole_run_with_logins` takes some minutes, prints what each command does, and ends with 1 where one
fails, a request lacks something, or a password stands in a file of the home. It is no part of `make test`.
"""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.reliability.certificate import make_certificate
from components.common.settings import environment
from tests.gateways import Gateway, gateway
from tests.mlflow_with_logins import served_with_logins

ROOT = Path(__file__).parents[1]
CREDENTIALS = "[mlflow]\nmlflow_tracking_username = writer\nmlflow_tracking_password = writer-password\n"
COMMANDS = """doctor
run --data digits --trials 1
runs list
models list
models show 1
models verify 1
models promote 1 --why again
models history
reproduce 1
down"""


def main() -> int:
    """Run all, and return the exit status."""
    with TemporaryDirectory() as scratch, served_with_logins(_made(scratch, "mlflow")) as server:
        user, certificate = _made(scratch, "user"), Path(scratch, "ca.pem")
        certificate.write_bytes(make_certificate(datetime.now(UTC) + timedelta(days=1)))
        (user / ".mlflow").mkdir()
        (user / ".mlflow" / "credentials").write_text(CREDENTIALS)
        with gateway(lambda _: None, server, certificate, prefix="/ml") as before:
            given = {
                "HOME": str(user),
                "MLFLOW_TRACKING_URI": f"{before.address}/ml",
                "MLFLOW_TRACKING_SERVER_CERT_PATH": str(certificate),
                "MLFLOW_WORKSPACE": "team-a",
                # Those of another program.
                "MLFLOW_RUN_ID": "3f2a",
                "MLFLOW_EXPERIMENT_NAME": "of another program",
            }
            failed = [line for line in COMMANDS.splitlines() if _command(line, user / "home", given)]
            complete = _requests_are_complete(before)
        leaks = [
            path
            for path in user.glob("home/**/*")
            if path.is_file() and b"writer-password" in path.read_bytes()
        ]
    print(f"failed: {failed}; every request is complete: {complete}; files with the password: {leaks}")
    return int(bool(failed or leaks or not complete))


def _made(scratch: str, name: str) -> Path:
    path = Path(scratch, name)
    path.mkdir()
    return path


def _command(line: str, home: Path, given: dict[str, str]) -> int:
    print(f"$ mnist-pipeline {line}", flush=True)
    command = [sys.executable, "-m", "pipelines.cli.main", *line.split(), "--home", str(home)]
    return subprocess.run(command, cwd=ROOT, env=environment(given), check=False).returncode


def _requests_are_complete(before: Gateway) -> bool:
    """Return whether each request came below the prefix, with login and workspace."""
    print(f"{len(before.asked)} requests")
    return all(
        asked.path.startswith("/ml/")
        and asked.headers.get("authorization", "").startswith("Basic ")
        and asked.headers.get("x-mlflow-workspace") == "team-a"
        for asked in before.asked
    )


if __name__ == "__main__":
    sys.exit(main())
