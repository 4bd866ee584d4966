"""Swift's servers behind its proxy on UNIX sockets instead of TCP ports, which anybody on the machine could ask.

The ring names a server by a port; here the number names a socket in the working directory.
"""

import socket
import time
from pathlib import Path
from typing import Any


def _path(port: int) -> str:
    return f"server-{port}.socket"


def listen_at(port: int) -> Any:
    """Return a green socket that listens in place of a port."""
    from eventlet.green import socket as green

    Path(_path(port)).unlink(missing_ok=True)
    listener = green.socket(socket.AF_UNIX)
    listener.bind(_path(port))
    listener.listen(socket.SOMAXCONN)
    return listener


def dial_sockets() -> None:
    """Let this process reach servers at their sockets."""
    from eventlet.green import socket as green
    from swift.common.bufferedhttp import BufferedHTTPConnection

    # Swift 2.38.0 has no setting for it.
    def connect(self: Any) -> None:
        self._connected_time = time.time()
        self.sock = green.socket(socket.AF_UNIX)
        self.sock.connect(_path(self.port))

    BufferedHTTPConnection.connect = connect
