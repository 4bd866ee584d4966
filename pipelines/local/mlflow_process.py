"""MLflow's application on a listening socket, for the owner of the process.

Run as a module, `python -P -m pipelines.local.mlflow_process DESCRIPTOR`, with the variables of
`pipelines.compat.mlflow_server`.
"""

import asyncio
import socket
import sys

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from pipelines.local.guard import comes_from_owner


class OwnersProtocol(H11Protocol):
    """HTTP for the owner of this process; other connections are cut."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection where it comes from the owner."""
        super().connection_made(transport)
        if not comes_from_owner(transport.get_extra_info("socket")):
            transport.abort()


def main(descriptor: str) -> None:
    """Serve until SIGTERM."""
    config = uvicorn.Config(
        "pipelines.local.mlflow_app:application",
        factory=True,
        http=OwnersProtocol,
        ws="none",
        lifespan="off",
        # Whom to answer is decided by the connection, never by a header.
        proxy_headers=False,
        access_log=False,
        timeout_graceful_shutdown=2,
    )
    uvicorn.Server(config).run([socket.socket(fileno=int(descriptor))])


if __name__ == "__main__":
    main(sys.argv[1])
