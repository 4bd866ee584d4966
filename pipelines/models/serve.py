"""HTTP server of a model: MLflow's protocol for arrays, answers for pictures, and a page to try the model."""

import asyncio
import base64
import hashlib
import hmac
import io
import re
from collections.abc import Awaitable, Callable
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
from components.common.settings import settings
from pipelines.models.batches import Batches
from pipelines.models.bodies import BUSY, RETRY, Bodies
from pipelines.models.occlusion import occluded, occlusion_map
from pipelines.models.parsing import Parser
from pipelines.models.pictures import Refusal, prepare_picture

if TYPE_CHECKING:
    from pipelines.models.predict import Answerer

PAGE = Path(__file__).with_name("templates") / "serve.html"
LONGEST_ERROR = 300
# Until the model has answered a request, with the wait for its turn.
ANSWER_SECONDS = 60.0
# Requests in work at a time; further ones are refused.
MOST_REQUESTS = 64
# Pictures that are decoded at a time; one of the largest takes some hundred MiB.
DECODERS = 2

Handler = Callable[[Request], Awaitable[Response]]


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
            Route("/model", server.admitted(server.model)),
            Route("/invocations", server.admitted(server.invocations), methods=["POST"]),
            Route("/classify", server.admitted(server.classify), methods=["POST"]),
            Route("/explain", server.admitted(server.explain), methods=["POST"]),
            Route("/ping", _alive),
            Route("/health", _alive),
            Route("/version", server.version),
        ],
        exception_handlers=errors,
    )


class _Server:
    def __init__(self, classifier: "Answerer", reject_below: float, name: str) -> None:
        self._spec, self._reject_below, self._name = classifier.spec, reject_below, name
        self._batches, self._bodies, self._parser = Batches(classifier), Bodies(), Parser(classifier.spec)
        self._token, self._working = settings().serve_token, 0
        self._decoders = ThreadPoolExecutor(DECODERS)
        self._page, self._version = _page(), f"mnist-pipeline {git_sha()}"

    def admitted(self, answer: Handler) -> Handler:
        """Return a handler that answers who has the token, and refuses at once what the server cannot soon answer."""

        async def admit(request: Request) -> Response:
            given = request.headers.get("authorization", "")
            if self._token and not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
                raise HTTPException(
                    401,
                    "the server needs its token: send Authorization: Bearer TOKEN.",
                    {"WWW-Authenticate": "Bearer"},
                )
            if self._working == MOST_REQUESTS:
                raise HTTPException(503, BUSY, RETRY)
            self._working += 1
            try:
                return await answer(request)
            finally:
                self._working -= 1

        return admit

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
            answers = await self._ask(await self._parser.parse(body))
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
            raise HTTPException(503, BUSY, RETRY) from None
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
