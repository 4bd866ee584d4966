"""The listening sockets of a home's servers, which the keeper and all its clients hold.

While one of them lives, nobody else can listen at these ports, even when the servers are started again. So no request
of a client reaches a server of another user.
"""

import json
import os
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from components.common.errors import PipelineError
from pipelines.local.home import Home
from pipelines.local.process import listening_socket

DOOR = "ports"
LONGEST_MESSAGE, MOST_SERVERS = 4096, 8


class Ports:
    """The sockets that this process holds, by the name of the server."""

    def __init__(self) -> None:
        self._held: dict[str, socket.socket] = {}
        self._keeper = 0
        self._closed = False

    def listener(self, name: str, preferred: int) -> socket.socket:
        """Return the socket of a server; it is made where it is not held, at `preferred` where that port is free.

        Raises:
            PipelineError: No port is free, or the sockets were closed.
        """
        if self._closed:
            raise PipelineError(
                "the servers must be in use to be started but are not: start the command again."
            )
        if name not in self._held:
            self._held[name] = listening_socket(preferred)
        return self._held[name]

    def hold(self, home: Home, keeper: int) -> None:
        """Hold the sockets of the living keeper; `keeper` is its process."""
        if sys.platform != "linux" or keeper == self._keeper or self._closed:
            return
        with _door(home) as (door, address):
            try:
                door.connect(address)
                names, descriptors, _, _ = socket.recv_fds(door, LONGEST_MESSAGE, MOST_SERVERS)
            except OSError:
                names = b""
        if not names:
            return  # the keeper has died just now, and is replaced
        self._release()
        for name, descriptor in zip(json.loads(names), descriptors, strict=True):
            os.set_inheritable(descriptor, False)
            self._held[name] = socket.socket(fileno=descriptor)
        self._keeper = keeper

    def close(self) -> None:
        """Hold nothing from now on."""
        self._closed = True
        self._release()

    def _release(self) -> None:
        for held in self._held.values():
            held.close()
        self._held = {}


@contextmanager
def shared_ports(home: Home, listeners: Mapping[str, int]) -> Iterator[None]:
    """Give the listening sockets of servers, by their descriptors, to each client that asks."""
    if sys.platform != "linux":
        yield
        return
    with _door(home) as (door, address):
        (home.keeper / DOOR).unlink(missing_ok=True)
        door.bind(address)
        door.listen()
        names = json.dumps([*listeners]).encode()

        def share() -> None:
            while True:
                try:
                    client, _ = door.accept()
                except OSError:
                    return
                with client, suppress(OSError):
                    socket.send_fds(client, [names], [*listeners.values()])

        threading.Thread(target=share, daemon=True).start()
        try:
            yield
        finally:
            door.shutdown(socket.SHUT_RDWR)


@contextmanager
def _door(home: Home) -> Iterator[tuple[socket.socket, str]]:
    """Yield a socket, and an address below the home that is short enough for it."""
    directory = os.open(home.keeper, os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as door:
            yield door, f"/proc/self/fd/{directory}/{DOOR}"
    finally:
        os.close(directory)
