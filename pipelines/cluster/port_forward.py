"""A tunnel to Kubeflow's UI and API, for the time of one command."""

import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from components.common.errors import PipelineError
from components.common.settings import environment
from components.common.storage.address import shown
from pipelines.local.process import Server

# The UI's service serves the API as well, so the links that are printed work while the tunnel is open.
COMMAND = ("kubectl", "port-forward", "--namespace", "kubeflow", "service/ml-pipeline-ui")
FORWARDING = re.compile(r"^Forwarding from 127\.0\.0\.1:(\d+)", re.MULTILINE)
WAY_OUT = (
    "give --host, or make kubectl's current context a cluster with Kubeflow Pipelines in namespace kubeflow"
)


class Tunnel:
    """kubectl's port-forward from a free local port, which stays the same when it is opened again."""

    def __init__(self, log_path: Path) -> None:
        self._log_path = log_path
        self._port = ""
        self._open()

    @property
    def host(self) -> str:
        """Address of the local end."""
        return f"http://127.0.0.1:{self._port}"

    def _open(self) -> None:
        command = (*COMMAND, f"{self._port}:80")
        self._kubectl = Server(
            "kubectl", command, environment=environment(), directory=Path.cwd(), log_path=self._log_path
        )
        try:
            self._kubectl.wait_until_ready(lambda: FORWARDING.search(self._output()) is not None)
        except PipelineError as error:
            self.close()
            last = self._output().strip().rpartition("\n")[2] or "it printed nothing"
            raise PipelineError(
                f"kubectl must forward a port to Kubeflow but failed ({last}): {WAY_OUT}."
            ) from error
        self._port = FORWARDING.findall(self._output())[0]

    def _output(self) -> str:
        return self._log_path.read_text(errors="replace")

    def reopen(self) -> None:
        """Open it again where kubectl has ended, as it does when the pod at the other end is replaced."""
        if self._kubectl.poll() is not None:
            self.close()
            # The next request through the tunnel fails, and its caller tries again.
            with suppress(PipelineError):
                self._open()

    def close(self) -> None:
        """End the tunnel."""
        self._kubectl.stop()


@contextmanager
def forwarded() -> Iterator[Tunnel]:
    """Forward a free local port to Kubeflow with kubectl, and say who can use it.

    Raises:
        PipelineError: There is no kubectl, or it cannot forward.
    """
    if shutil.which(COMMAND[0]) is None:
        raise PipelineError(f"without --host kubectl must be installed but is not: install it, or {WAY_OUT}.")
    with TemporaryDirectory() as directory:
        tunnel = Tunnel(Path(directory, "kubectl.log"))
        try:
            # A loopback interface belongs to everybody on a machine.
            print(
                "warning: while this command runs, every user of this machine can reach Kubeflow by "
                f"{shown(tunnel.host)}: give --host where others use it",
                file=sys.stderr,
            )
            yield tunnel
        finally:
            tunnel.close()
