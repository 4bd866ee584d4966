"""MLflow's scoring server for a model in a directory, with short error messages."""

import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.common.errors import PipelineError
from components.common.model.served_model import INPUT

LONGEST_ERROR = 300


def load_app(directory: Path) -> Any:
    """Return the server's application for a model; the directory is not needed after the call."""
    import mlflow
    from fastapi import Request, Response
    from fastapi.responses import StreamingResponse
    from mlflow.pyfunc import scoring_server

    model = mlflow.pyfunc.load_model(str(directory))
    shape = tuple(model.metadata.get_input_schema().inputs[0].shape[1:])
    application = scoring_server.init(_Channelled(model, shape))

    async def explain(
        request: Request, answer: Callable[[Request], Awaitable[StreamingResponse]]
    ) -> Response:
        if request.url.path == "/invocations" and (
            fault := _fault(request.headers, await request.body(), shape)
        ):
            return Response(_error(fault), 400, media_type="application/json")
        response = await answer(request)
        if response.status_code < 400:
            return response
        body = b"".join([part async for part in response.body_iterator if isinstance(part, bytes)])
        return Response(_error(_reason(body)), response.status_code, media_type="application/json")

    application.middleware("http")(explain)
    return application


def listen(application: Any, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        PipelineError: The address cannot be used.
    """
    import socket

    import uvicorn

    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PipelineError(
                f"{host}:{port} must be free to listen at but is not ({error.strerror}): choose another --port."
            ) from None
    uvicorn.run(application, host=host, port=port, log_level="warning", access_log=False)


class _Channelled:
    """The model as the scoring server calls it; it takes grey images with and without the axis of their channel."""

    def __init__(self, model: Any, shape: tuple[int, ...]) -> None:
        self._model, self._shape = model, shape
        self.metadata = model.metadata

    def predict(self, data: Mapping[str, NDArray[np.uint8]], params: object = None) -> Any:
        images = data[INPUT]
        return self._model.predict({**data, INPUT: images.reshape(len(images), *self._shape)}, params)


def _fault(headers: Any, body: bytes, shape: tuple[int, ...]) -> str:
    """Return the error in a request, "" for none; MLflow itself casts all images to uint8 without a check."""
    size = " x ".join(map(str, ("N", *shape)))
    kind = headers.get("content-type", "").partition(";")[0].strip()
    if kind != "application/json":
        return f"Content-Type must be application/json but is {kind or 'missing'}."
    try:
        document = json.loads(body)
    except ValueError:
        return "the body must be JSON but cannot be parsed."
    if not isinstance(document, dict) or not {"inputs", "instances"} & document.keys():
        return f'the body must be a JSON object with "inputs": images, {size}, whole numbers from 0 to 255.'
    images = document.get("inputs", document.get("instances"))
    return _image_fault(images.get(INPUT) if isinstance(images, dict) else images, shape, size)


def _image_fault(images: Any, shape: tuple[int, ...], size: str) -> str:
    try:
        array = np.array(images)
    except ValueError:
        return f"images must be {size} but the lists differ in length."
    taken = {shape} if shape[2:] == (3,) else {shape[:2], (*shape[:2], 1)}
    if array.dtype.kind not in "iu" or array.shape[1:] not in taken:
        return f"images must be {size} whole numbers but are {_described(array)}."
    if array.size and (array.min() < 0 or array.max() > 255):
        return f"pixels must be 0 to 255 but are {array.min()} to {array.max()}."
    return ""


def _described(array: Any) -> str:
    kinds = {"f": "fractions", "b": "true and false", "i": "whole numbers", "u": "whole numbers"}
    size = " x ".join(map(str, array.shape)) or "a single value"
    return f"{size} of {kinds.get(array.dtype.kind, 'something else')}"


def _reason(body: bytes) -> str:
    """Return the end of MLflow's message, whose beginning repeats all of the data."""
    text = body.decode(errors="replace")
    try:
        document = json.loads(text)
    except ValueError:
        document = text
    message = document.get("message", text) if isinstance(document, dict) else text
    return str(message).rpartition("Error: ")[2].strip().partition("\n")[0]


def _error(message: str) -> str:
    return json.dumps({"error": message[:LONGEST_ERROR]})
