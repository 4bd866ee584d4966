"""The HTTP server of a model, in a thread."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from pipelines.local.process import free_port
from pipelines.models.connections import BoundedProtocol
from pipelines.models.predict import Answerer
from pipelines.models.serve import application


@contextmanager
def serving(classifier: Answerer, reject_below: float = 0.5) -> Iterator[str]:
    """Yield the address of the server."""
    served = application(classifier, reject_below, "blobs version 7")
    port = free_port(0)
    running = uvicorn.Server(
        uvicorn.Config(served, http=BoundedProtocol, port=port, log_level="critical", lifespan="off")
    )
    thread = threading.Thread(target=running.run)
    thread.start()
    while not running.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}"
    running.should_exit = True
    thread.join()
