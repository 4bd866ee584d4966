"""HTTP server of a model: MLflow's protocol for arrays, answers for pictures, and a page to try the model."""

import asyncio
import base64
import hashlib
import hmac
import io
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from components.common.data.picture import decode_picture
from components.common.data.spec import ImageSpec
from components.common.errors import PipelineError
from components.common.provenance import git_sha
from components.common.settings import settings
from pipelines.models.batches import Batches
from pipelines.models.bodies import BUSY, RETRY, Bodies
from pipelines.models.connections import BoundedProtocol
from pipelines.models.occlusion import occluded, occlusion_map
from pipelines.models.parsing import Parser
from pipelines.models.pictures import Refusal, prepare_picture
from pipelines.models.request_logger import RequestLogger
from pipelines.models.serve_metrics import CONTENT_TYPE, Family, Sample, ServeMetrics
from pipelines.models.served import Served

PAGE = Path(__file__).with_name("templates") / "serve.html"
LONGEST_ERROR = 300
# Until the model has answered a request, with the wait for its turn.
ANSWER_SECONDS = 60.0
# Requests in work at a time; further ones are refused.
MOST_REQUESTS = 64
# Pictures that are decoded at a time; one of the largest takes some hundred MiB.
DECODERS = 2

# Ids of clients' own, such as a gateway sets them.
REQUEST_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)


@dataclass(frozen=True)
class _Asked:
    """A model, and the requests that wait for it."""

    model: Served
    batches: Batches

    @property
    def spec(self) -> ImageSpec:
        return self.model.classifier.spec


Handler = Callable[[Request, _Asked], Awaitable[Response]]


class ModelServer:
    """A server of a model that can be replaced while it answers.

    Args:
        served: The model.
        logger: Where requests are logged; None for nowhere.

    Attributes:
        follow_problem: Why the version that should be served is not; None where none is followed.
    """

    def __init__(self, served: Served, logger: RequestLogger | None = None) -> None:
        self.follow_problem: str | None = None
        self._asked = _Asked(served, Batches(served.classifier))
        self._bodies, self._parser, self._logger = Bodies(), Parser(), logger
        self._token, self._working = settings().serve_token, 0
        self._decoders = ThreadPoolExecutor(DECODERS)
        self._page, self._code = _page(), git_sha()
        self._metrics = ServeMetrics()

    @property
    def served(self) -> Served:
        """The model that answers the next request."""
        return self._asked.model

    def replace(self, served: Served) -> None:
        """Answer the next request with another model; those in work keep theirs. Any thread may call this."""
        self._asked = _Asked(served, Batches(served.classifier))

    def application(self) -> Starlette:
        """Return the application."""
        errors: Any = {HTTPException: _error, PipelineError: _error, Exception: _error}
        return Starlette(
            routes=[
                Route("/", self._show_page),
                Route("/model", self._admitted(self._describe)),
                Route("/invocations", self._admitted(self._invocations), methods=["POST"]),
                Route("/classify", self._admitted(self._classify), methods=["POST"]),
                Route("/explain", self._admitted(self._explain), methods=["POST"]),
                *(Route(path, _alive) for path in ("/ping", "/health", "/healthz")),
                Route("/readyz", self._ready),
                Route("/metrics", self._measure),
                Route("/version", self._tell_version),
            ],
            exception_handlers=errors,
        )

    def _admitted(self, answer: Handler) -> Callable[[Request], Awaitable[Response]]:
        """Return a handler that answers who has the token, and refuses at once what the server cannot soon answer."""

        async def admit(request: Request) -> Response:
            started, status = time.perf_counter(), 500
            try:
                self._require_token(request)
                with self._in_work():
                    response = await self._identified(answer, request)
                status = response.status_code
            except Exception as error:
                status, _, _ = _stated(error)
                raise
            finally:
                self._metrics.count_request(request.url.path, status, time.perf_counter() - started)
            return response

        return admit

    @contextmanager
    def _in_work(self) -> Iterator[None]:
        if self._working == MOST_REQUESTS:
            raise HTTPException(503, BUSY, RETRY)
        self._working += 1
        try:
            yield
        finally:
            self._working -= 1

    async def _identified(self, answer: Handler, request: Request) -> Response:
        """Answer with the model of this moment; the headers name its version, and the request by an id."""
        given = request.headers.get("x-request-id", "")
        request.state.id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        asked = self._asked
        response = await answer(request, asked)
        response.headers["X-Request-Id"] = request.state.id
        if asked.model.version:
            response.headers["X-Model-Version"] = asked.model.version
        return response

    def _require_token(self, request: Request) -> None:
        given = request.headers.get("authorization", "")
        if self._token and not hmac.compare_digest(given.encode(), f"Bearer {self._token}".encode()):
            raise HTTPException(
                401,
                "the server needs its token: send Authorization: Bearer TOKEN.",
                {"WWW-Authenticate": "Bearer"},
            )

    async def _show_page(self, _: Request) -> Response:
        content, headers = self._page
        return Response(content, media_type="text/html", headers=headers)

    async def _describe(self, _: Request, asked: _Asked) -> Response:
        model, spec = asked.model, asked.spec
        return JSONResponse(
            {
                "name": model.about,
                "images": spec.shape,
                "classes": spec.classes,
                "pictures": spec.pictures,
                "reject_below": model.reject_below,
            }
        )

    async def _ready(self, _: Request) -> Response:
        return PlainTextResponse(f"{self.served.about}\n")

    async def _measure(self, request: Request) -> Response:
        self._require_token(request)
        return PlainTextResponse(self._metrics.text(self._gauges()), media_type=CONTENT_TYPE)

    def _gauges(self) -> Iterator[Family]:
        """Yield what is true now, beside what was counted."""
        model, logger = self.served, self._logger
        about = {"model": model.name, "version": model.version, "code": self._code}
        yield Family("model_info", "gauge", "The model that answers.", [Sample(about, 1)])
        yield Family("requests_in_work", "gauge", "Requests in work.", [Sample({}, self._working)])
        cut = [Sample({}, BoundedProtocol.refused)]
        yield Family("connections_refused_total", "counter", "Connections refused as too many.", cut)
        if logger:
            counts = {"chosen": logger.chosen, "kept": logger.kept, "dropped": logger.dropped}
            found = [Sample({"outcome": outcome}, count) for outcome, count in counts.items()]
            yield Family("logged_images_total", "counter", "Images of the request log's sample.", found)
        if self.follow_problem is not None:
            failing = [Sample({}, int(bool(self.follow_problem)))]
            yield Family("follow_failing", "gauge", "Whether another version should be served.", failing)

    async def _tell_version(self, _: Request) -> Response:
        return PlainTextResponse(f"mnist-pipeline {self._code}")

    async def _invocations(self, request: Request, asked: _Asked) -> Response:
        async with self._bodies.read(request, "application/json") as body:
            images = await self._parser.parse(body, asked.spec)
            answers = await _ask(asked, images)
        self._record(request, asked, images, answers)
        return JSONResponse({"predictions": answers.tolist()})

    async def _classify(self, request: Request, asked: _Asked) -> Response:
        async with self._bodies.read(request, "image/") as body:
            image = await self._prepare(body, asked.spec)
            if isinstance(image, Refusal):
                return self._no_answer(asked, image)
            answers = await _ask(asked, image[None])
        self._record(request, asked, image[None], answers)
        return JSONResponse(_described(asked.model, answers[0]))

    async def _explain(self, request: Request, asked: _Asked) -> Response:
        async with self._bodies.read(request, "image/") as body:
            image = await self._prepare(body, asked.spec)
            if isinstance(image, Refusal):
                return self._no_answer(asked, image)
            answers = await _ask(asked, np.concatenate([image[None], occluded(image)]))
        self._record(request, asked, image[None], answers[:1])
        found = occlusion_map(image, answers[0], answers[1:])
        about = {
            "image": _data_url(image),
            "support": [[round(value, 3) for value in row] for row in found.support.tolist()],
            "cell": found.cell,
            "place": [found.row, found.column],
            "remaining": round(found.remaining, 6),
        }
        return JSONResponse(_described(asked.model, answers[0]) | about)

    def _record(
        self, request: Request, asked: _Asked, images: NDArray[np.uint8], answers: NDArray[np.float32]
    ) -> None:
        model = asked.model
        self._metrics.count_answers(model.version, asked.spec.classes, answers, model.reject_below)
        if self._logger:
            self._logger.add(request.state.id, model, images, answers)

    def _no_answer(self, asked: _Asked, refusal: Refusal) -> Response:
        self._metrics.count_refusal(asked.model.version)
        return JSONResponse({"label": None, "refused": refusal.reason})

    async def _prepare(self, content: bytes, spec: ImageSpec) -> NDArray[np.uint8] | Refusal:
        def prepare() -> NDArray[np.uint8] | Refusal:
            return prepare_picture(decode_picture(content, "the picture"), spec)

        return await asyncio.get_running_loop().run_in_executor(self._decoders, prepare)


async def _ask(asked: _Asked, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await asked.batches.probabilities(images)
    except TimeoutError:
        raise HTTPException(503, BUSY, RETRY) from None
    except PipelineError as error:
        raise HTTPException(500, str(error)) from error


def _described(model: Served, answer: NDArray[np.float32]) -> dict[str, Any]:
    best, classes = int(answer.argmax()), model.classifier.spec.classes
    rounded = [round(float(value), 6) for value in answer]
    return {
        "label": classes[best],
        "probability": rounded[best],
        "unsure": bool(answer[best] < model.reject_below),
        "probabilities": dict(zip(classes, rounded, strict=True)),
    }


async def _alive(_: Request) -> Response:
    return PlainTextResponse("\n")


async def _error(_: Request, error: Exception) -> Response:
    """Answer with one short line; the traceback of an error of the server itself is in its log."""
    status, message, headers = _stated(error)
    return JSONResponse({"error": message[:LONGEST_ERROR]}, status, headers)


def _stated(error: Exception) -> tuple[int, str, Mapping[str, str] | None]:
    """Return status, message and headers of the answer that an error is."""
    if isinstance(error, HTTPException):
        return error.status_code, error.detail, error.headers
    if isinstance(error, PipelineError):
        return 400, str(error), None
    return 500, "the server failed: its log says more.", None


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
