"""A tunnel to Kubeflow's own UI and API, for as long as a command lasts."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.common.errors import PipelineError
from pipelines.local.process import SupervisedProcess

# The UI's service serves the API as well, so the links that are printed work while the tunnel is open.
COMMAND = ("kubectl", "port-forward", "--namespace", "kubeflow", "service/ml-pipeline-ui", ":80")
WAY_OUT = (
    "give --host, or make kubectl's current context a cluster with Kubeflow Pipelines in namespace kubeflow"
)


@contextmanager
def forwarded() -> Iterator[str]:
    """Forward a free local port to Kubeflow with kubectl, and yield its address.

    Raises:
        PipelineError: There is no kubectl, or it cannot forward.
    """
    if shutil.which(COMMAND[0]) is None:
        raise PipelineError(f"without --host kubectl is needed, but there is none: install it, or {WAY_OUT}.")
    with SupervisedProcess(COMMAND, environment=os.environ, directory=Path.cwd()) as kubectl:
        last = "it said nothing"
        for line in kubectl.lines():
            if found := re.match(r"Forwarding from (127\.0\.0\.1:\d+)", line):
                yield f"http://{found[1]}"
                return
            last = line.strip() or last
        raise PipelineError(f"kubectl must forward a port to Kubeflow but failed ({last}): {WAY_OUT}.")
