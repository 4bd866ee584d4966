import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from pipelines.local.guard import comes_from_owner, socket_by_netlink, socket_by_table

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        yield listener


def connect_as_nobody(listener: socket.socket, then: str) -> "subprocess.Popen[bytes]":
    """Connect in a process of another user, which sends a request and then runs `then`."""
    script = f"""
import os, socket, sys
os.setuid({NOBODY})
client = socket.socket()
client.connect(("127.0.0.1", {listener.getsockname()[1]}))
client.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
{then}
"""
    return subprocess.Popen([sys.executable, "-IS", "-c", script], stdin=subprocess.PIPE)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_the_owner_is_known_in_both_ways(listener: socket.socket, family: socket.AddressFamily) -> None:
    mapped = "::ffff:127.0.0.1" if family == socket.AF_INET6 else "127.0.0.1"
    with socket.socket(family) as client:
        client.connect((mapped, listener.getsockname()[1]))
        accepted, other = listener.accept()
        with closing(accepted):
            assert comes_from_owner(accepted)
            owner = os.geteuid(), os.fstat(client.fileno()).st_ino
            ends = other, accepted.getsockname()
            assert socket_by_netlink(*ends) == socket_by_table(*ends) == owner


def test_a_socket_that_does_not_exist_has_no_owner(listener: socket.socket) -> None:
    ends = ("127.0.0.1", 1), listener.getsockname()
    assert socket_by_netlink(*ends) is socket_by_table(*ends) is None


@as_root
def test_another_user_is_refused(listener: socket.socket) -> None:
    with connect_as_nobody(listener, "sys.stdin.read()") as client:
        accepted, other = listener.accept()
        with closing(accepted):
            ends = other, accepted.getsockname()
            for found in (socket_by_netlink(*ends), socket_by_table(*ends)):
                assert found
                assert found[0] == NOBODY
            assert not comes_from_owner(accepted)
        client.communicate()


@as_root
def test_a_request_of_another_user_who_has_left_is_refused(listener: socket.socket) -> None:
    with connect_as_nobody(listener, "client.close()"):
        pass
    accepted, other = listener.accept()
    with closing(accepted):
        ends = other, accepted.getsockname()
        for found in (socket_by_netlink(*ends), socket_by_table(*ends)):
            assert found
            assert found[1] == 0  # the user may be root by now
        assert accepted.recv(100)
        assert not comes_from_owner(accepted)
