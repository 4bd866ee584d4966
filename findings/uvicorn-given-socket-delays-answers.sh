#!/usr/bin/env bash
# Packages: uvicorn 0.54.0, h11 0.16.0, on Linux.
#
# Guess: uvicorn sends small answers at once (TCP_NODELAY), however its listening socket was made. asyncio sets that for
# every connection it accepts since Python 3.6.
#
# Behaviour: asyncio sets it only where the socket names its protocol, TCP. A listener of `socket.create_server` has the
# protocol 0, and so has each connection that it accepts. The head and the body of an answer are then two packets, and
# from the second request of a connection on the body waits 40 ms, until the client has acknowledged the head. With
# `host` and `port` uvicorn makes its own listener, which names TCP, and nothing waits.
#
# For a pipeline like this: who binds the port first, to tell it or to keep it, and then gives uvicorn the socket, serves
# a model that needs 1 ms in 41 ms. Clients that open a connection for each request do not see it; those that keep one,
# such as a session of `requests` or a proxy, do. Set TCP_NODELAY in `connection_made`, or make the listener with
# `proto=socket.IPPROTO_TCP`.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install -qq --disable-pip-version-check uvicorn==0.54.0 h11==0.16.0
cat >"$scratch/two_listeners.py" <<'PYTHON'
import http.client
import platform
import socket
import statistics
import threading
import time

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

REQUESTS = 30


async def application(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


class Watched(H11Protocol):
    """Tells whether its connection sends at once."""

    immediate = False

    def connection_made(self, transport):
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        Watched.immediate = bool(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def measure(way, port, sockets):
    config = uvicorn.Config(application, port=port, http=Watched, lifespan="off", log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=(sockets,))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    connection = http.client.HTTPConnection("127.0.0.1", port)
    seconds = []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        connection.request("GET", "/")
        connection.getresponse().read()
        seconds.append(time.perf_counter() - began)
    connection.close()
    server.should_exit = True
    thread.join()
    print(f"{way}: TCP_NODELAY {Watched.immediate}, an answer in {1000 * statistics.median(seconds):.1f} ms")


print(f"uvicorn {uvicorn.__version__}, h11 {h11.__version__}, Python {platform.python_version()}")
measure("host and port", free_port(), None)
listener = socket.create_server(("127.0.0.1", 0))
measure("a socket of create_server", listener.getsockname()[1], [listener])
PYTHON
seen=$(env -u HTTP_PROXY -u http_proxy "$scratch/venv/bin/python" "$scratch/two_listeners.py")
echo "$seen"
if ! grep -q "host and port: TCP_NODELAY True" <<<"$seen" ||
    ! grep -q "a socket of create_server: TCP_NODELAY False" <<<"$seen"; then
    echo "changed: both listeners send small answers alike"
    exit 1
fi
