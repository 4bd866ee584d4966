import socket
from pathlib import Path

import pytest

from components.common.errors import PipelineError
from pipelines.local.home import Home
from pipelines.local.ports import Ports, shared_ports
from pipelines.local.process import listening_socket


def test_a_client_holds_the_ports_of_the_keeper(tmp_path: Path) -> None:
    home = Home(tmp_path / ("a long name" * 20))
    home.prepare()
    ports = Ports()
    ports.hold(home, 1)  # no keeper lives: it is asked again later
    with listening_socket() as listener:
        address = listener.getsockname()
        with shared_ports(home, {"store": listener.fileno()}):
            ports.hold(home, 1)
    # The keeper has gone.
    with pytest.raises(OSError, match="in use"):
        socket.create_server(address)
    held = ports.listener("store", 0)
    assert held.getsockname() == address
    assert not held.get_inheritable()
    ports.close()
    socket.create_server(address).close()
    with pytest.raises(PipelineError, match="must be in use"):
        ports.listener("store", 0)


def test_a_taken_port_is_replaced_by_another() -> None:
    ports = Ports()
    with listening_socket() as taken:
        port = taken.getsockname()[1]
        made = ports.listener("store", port)
        assert made.getsockname()[1] != port
        assert ports.listener("store", port) is made
        assert not made.get_inheritable()
    ports.close()
