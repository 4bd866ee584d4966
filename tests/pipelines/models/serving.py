"""The HTTP server of a model, in a thread."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from pipelines.models.connections import BoundedProtocol
from pipelines.models.predict import Answerer
from pipelines.models.serve import ModelServer
from pipelines.models.served import Served


@contextmanager
def serving(classifier: Answerer, reject_below: float = 0.5) -> Iterator[str]:
    """Yield the address of a server of a model."""
    with listening(ModelServer(Served(classifier, reject_below, "blobs", "7"))) as address:
        yield address


@contextmanager
def listening(server: ModelServer) -> Iterator[str]:
    """Yield the address of a server."""
    listener = socket.create_server(("127.0.0.1", 0))  # as `listen` does
    running = uvicorn.Server(
        uvicorn.Config(server.application(), http=BoundedProtocol, log_level="critical", lifespan="off")
    )
    thread = threading.Thread(target=running.run, args=([listener],))
    thread.start()
    while not running.started:
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        running.should_exit = True
        thread.join()
