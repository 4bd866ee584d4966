"""HTTP server of a model: MLflow's protocol for arrays, answers for pictures, and a page to try the model."""

import asyncio
import base64
import hashlib
import io
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from components.common.data.picture import decode_picture
from components.common.errors import PipelineError
from components.common.provenance import git_sha
from pipelines.models.batches import Batches
from pipelines.models.bodies import Bodies
from pipelines.models.invocations import parse_invocation
from pipelines.models.occlusion import occluded, occlusion_map
from pipelines.models.pictures import Refusal, prepare_picture

if TYPE_CHECKING:
    from pipelines.models.predict import Answerer

PAGE = Path(__file__).with_name("templates") / "serve.html"
LONGEST_ERROR = 300
# Until the model has answered a request, with the wait for its turn.
ANSWER_SECONDS = 60.0
# Connections at a time; uvicorn answers 503 to further ones.
MOST_CONNECTIONS = 128
# Pictures that are decoded at a time; one of the largest takes some hundred MiB.
DECODERS = 2


def application(classifier: "Answerer", reject_below: float, name: str) -> Starlette:
    """Return the application that serves a model.

    Args:
        classifier: The model.
        reject_below: Probability below which an answer is unsure.
        name: Name of the model for people.
    """
    server = _Server(classifier, reject_below, name)
    errors: Any = {HTTPException: _error, PipelineError: _error, Exception: _error}
    return Starlette(
        routes=[
            Route("/", server.page),
            Route("/model", server.model),
            Route("/invocations", server.invocations, methods=["POST"]),
            Route("/classify", server.classify, methods=["POST"]),
            Route("/explain", server.explain, methods=["POST"]),
            Route("/ping", _alive),
            Route("/health", _alive),
            Route("/version", server.version),
        ],
        exception_handlers=errors,
    )


def listen(served: Starlette, host: str, port: int) -> None:
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
    uvicorn.run(
        served,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        lifespan="off",
        limit_concurrency=MOST_CONNECTIONS,
    )


class _Server:
    def __init__(self, classifier: "Answerer", reject_below: float, name: str) -> None:
        self._spec, self._reject_below, self._name = classifier.spec, reject_below, name
        self._batches, self._bodies = Batches(classifier), Bodies()
        self._decoders = ThreadPoolExecutor(DECODERS)
        self._page, self._version = _page(), f"mnist-pipeline {git_sha()}"

    async def page(self, _: Request) -> Response:
        content, headers = self._page
        return Response(content, media_type="text/html", headers=headers)

    async def model(self, _: Request) -> Response:
        spec = self._spec
        return JSONResponse(
            {
                "name": self._name,
                "images": spec.shape,
                "classes": spec.classes,
                "pictures": spec.pictures,
                "reject_below": self._reject_below,
            }
        )

    async def version(self, _: Request) -> Response:
        return PlainTextResponse(self._version)

    async def invocations(self, request: Request) -> Response:
        async with self._bodies.read(request, "application/json") as body:
            answers = await self._ask(parse_invocation(body, self._spec))
        return JSONResponse({"predictions": answers.tolist()})

    async def classify(self, request: Request) -> Response:
        async with self._bodies.read(request, "image/") as body:
            image = await self._prepare(body)
            if isinstance(image, Refusal):
                return _no_answer(image)
            (answer,) = await self._ask(image[None])
        return JSONResponse(self._described(answer))

    async def explain(self, request: Request) -> Response:
        async with self._bodies.read(request, "image/") as body:
            image = await self._prepare(body)
            if isinstance(image, Refusal):
                return _no_answer(image)
            answer, *hidden = await self._ask(np.concatenate([image[None], occluded(image)]))
        found = occlusion_map(image, answer, np.stack(hidden))
        about = {
            "image": _data_url(image),
            "support": [[round(value, 3) for value in row] for row in found.support.tolist()],
            "cell": found.cell,
            "place": [found.row, found.column],
            "remaining": round(found.remaining, 6),
        }
        return JSONResponse(self._described(answer) | about)

    async def _prepare(self, content: bytes) -> NDArray[np.uint8] | Refusal:
        def prepare() -> NDArray[np.uint8] | Refusal:
            return prepare_picture(decode_picture(content, "the picture"), self._spec)

        return await asyncio.get_running_loop().run_in_executor(self._decoders, prepare)

    async def _ask(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._batches.probabilities(images)
        except TimeoutError:
            raise HTTPException(503, "the server is busy: try again later.", {"Retry-After": "1"}) from None
        except PipelineError as error:
            raise HTTPException(500, str(error)) from error

    def _described(self, answer: NDArray[np.float32]) -> dict[str, Any]:
        best = int(answer.argmax())
        rounded = [round(float(value), 6) for value in answer]
        return {
            "label": self._spec.classes[best],
            "probability": rounded[best],
            "unsure": bool(answer[best] < self._reject_below),
            "probabilities": dict(zip(self._spec.classes, rounded, strict=True)),
        }


def _no_answer(refusal: Refusal) -> Response:
    return JSONResponse({"label": None, "refused": refusal.reason})


async def _alive(_: Request) -> Response:
    return PlainTextResponse("\n")


async def _error(_: Request, error: Exception) -> Response:
    """Answer with one short line; the traceback of an error of the server itself is in its log."""
    if isinstance(error, HTTPException):
        status, message, headers = error.status_code, error.detail, error.headers
    elif isinstance(error, PipelineError):
        status, message, headers = 400, str(error), None
    else:
        status, message, headers = 500, "the server failed: its log says more.", None
    return JSONResponse({"error": message[:LONGEST_ERROR]}, status, headers)


def _data_url(image: NDArray[np.uint8]) -> str:
    from PIL import Image

    target = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(target, "PNG")
    return f"data:image/png;base64,{base64.b64encode(target.getvalue()).decode()}"


def _page() -> tuple[bytes, dict[str, str]]:
    """Return the page, and headers that allow its own script and style and no other."""
    content = PAGE.read_bytes()
    hashes = {
        name: " ".join(
            f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}'"
            for text in re.findall(rb"<%b>(.*?)</%b>" % (name, name), content, re.DOTALL)
        )
        for name in (b"script", b"style")
    }
    policy = (
        f"default-src 'none'; script-src {hashes[b'script']}; style-src {hashes[b'style']}; img-src data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return content, {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
