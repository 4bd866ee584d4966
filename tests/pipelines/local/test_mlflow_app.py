import asyncio
import gc
import re
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.local import mlflow_app
from pipelines.local.mlflow_app import (
    ALLOWED,
    ALLOWED_BELOW,
    CALLS_AT_ONCE,
    LARGEST_CALL,
    LARGEST_FILE,
    is_allowed,
    keep_few_store_clients,
    restricted,
)

# Routes that MLflow has and this project's servers have not, below /api and /ajax-api.
DENIED_CALLS = re.compile(
    r"2\.0/mlflow/(artifacts/presigned-(down|up)load-url|gateway-proxy|get-online-trace-details|get-trace-artifact"
    r"|runs/create-promptlab-run|traces(/.*)?|unified-traces|upload-artifact|webhooks(/.*)?)"
    r"|2\.0mlflow/experiments/search-datasets"
    r"|3\.0/jobs/.*"
    r"|3\.0/mlflow/(assistant|datasets|demo|gateway|genai|issues|jobs|label-schemas|mcp-servers|prompt-optimization"
    r"|review-queues|scorers?|traces|workspaces)(/.*)?"
    r"|3\.0/mlflow/(get-trace-artifact|ui-telemetry)"
)
DENIED = re.compile(rf"/(ajax-)?api/({DENIED_CALLS.pattern})|/v1/traces|/gateway/.*|/build/.*")


def routes_of_mlflow() -> Iterator[str]:
    """Every path of the installed MLflow, with its parameters in brackets."""
    from mlflow.server.fastapi_app import app, flask_app

    for route in app.routes:
        if included := getattr(route, "original_router", None):
            for inner in included.routes:
                yield route.include_context.prefix + inner.path
        else:
            assert getattr(route, "path", None) == "", f"MLflow has a route of a new kind: {route}"
    for rule in flask_app.url_map.iter_rules():
        yield rule.rule


def test_every_route_of_mlflow_is_allowed_or_denied_by_name() -> None:
    routes = set(routes_of_mlflow())
    assert len(routes) > 300
    unknown = {route for route in routes if not is_allowed(route) and not DENIED.fullmatch(route)}
    assert unknown == set(), "decide about them in pipelines/local/mlflow_app.py, or deny them here"
    assert {route for route in routes if is_allowed(route) and DENIED.fullmatch(route)} == set()
    # Some calls are for pages alone.
    assert {path for path in ALLOWED if path.replace("/api/", "/ajax-api/") not in routes} == set()
    assert all(any(route.startswith(below) for route in routes) for below in ALLOWED_BELOW)


def ask(path: str, *body: dict[str, Any], **headers: str) -> int:
    """The status of the restricted application, whose inner one answers 200 where it gets the body."""
    sent: list[dict[str, Any]] = []
    coming = list(body)

    async def served(_scope: object, receive: Any, send: Any) -> None:
        assert [await receive() for _ in body] == list(body)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return coming.pop(0) if coming else {"type": "http.request"}

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    asyncio.run(restricted(served)({"type": "http", "path": path, "headers": raw}, receive, send))
    return int(sent[0]["status"])


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/", 200),
        ("/static-files/static/js/main.js", 200),
        ("/api/2.0/mlflow/runs/search", 200),
        ("/api/2.0/mlflow/runs/create-promptlab-run", 404),
        ("//ajax-api/3.0/mlflow/assistant/config", 404),
        ("/api/2.0/mlflow/gateway-proxy", 404),
        ("/api/2.0/mlflow/runs/search/../../webhooks", 404),
        ("", 404),
    ],
)
def test_other_paths_do_not_exist(path: str, status: int) -> None:
    assert ask(path) == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://127.0.0.1:5001", 200),
        ("http://localhost:5001", 403),
        ("http://127.0.0.1:8000", 403),
        ("http://[::1]", 403),
        ("https://mlflow.example.org", 200),  # MLflow decides
    ],
)
def test_a_page_of_another_local_server_is_not_answered(origin: str, status: int) -> None:
    assert ask("/api/2.0/mlflow/runs/search", origin=origin, host="127.0.0.1:5001") == status


FILE = "/api/2.0/mlflow-artifacts/artifacts/1/run/artifacts/model.keras"
CALL = "/api/2.0/mlflow/runs/log-batch"


@pytest.mark.parametrize(
    ("path", "length", "status"),
    [
        (FILE, LARGEST_FILE, 200),
        (FILE, LARGEST_FILE + 1, 413),
        (CALL, LARGEST_CALL, 200),
        (CALL, LARGEST_CALL + 1, 413),
    ],
)
def test_a_body_has_a_largest_length(path: str, length: int, status: int) -> None:
    assert LARGEST_FILE >= 500e6
    assert ask(path, **{"content-length": str(length)}) == status


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ([{"body": b"", "more_body": False}, {"type": "http.disconnect"}], 200),
        ([{"body": b"a", "more_body": False}], 411),
        ([{"body": b"", "more_body": True}], 411),
    ],
)
def test_a_body_that_does_not_tell_its_length_must_be_empty(body: list[dict[str, Any]], status: int) -> None:
    # The length that is told too does not count.
    assert ask(FILE, *body, **{"content-length": "1", "transfer-encoding": "chunked"}) == status


def test_few_calls_at_once_are_handed_to_mlflow() -> None:
    entered: list[str] = []

    async def check() -> None:
        answer, end, body = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def served(scope: Any, receive: Any, send: Any) -> None:
            entered.append(scope["path"])
            assert await receive() == {"type": "http.request", "body": b"a"}
            await answer.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await end.wait()

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"a"}

        async def receive_slowly() -> dict[str, Any]:
            await body.wait()
            return await receive()

        async def send(_message: object) -> None:
            pass

        async def settle() -> int:
            for _ in range(50):
                await asyncio.sleep(0)
            return len(entered)

        application = restricted(served)

        def start(path: str, receive: Any) -> asyncio.Task[None]:
            scope = {"type": "http", "path": path, "headers": []}
            return asyncio.create_task(application(scope, receive, send))

        slow = [start(CALL, receive_slowly) for _ in range(CALLS_AT_ONCE)]
        assert await settle() == 0
        calls = [start(CALL, receive) for _ in range(2 * CALLS_AT_ONCE)]
        assert await settle() == CALLS_AT_ONCE
        files = [start(FILE, receive)]
        assert await settle() == CALLS_AT_ONCE + 1
        # The answers begin, and none of them ends.
        answer.set()
        assert await settle() == 2 * CALLS_AT_ONCE + 1
        body.set()
        assert await settle() == 3 * CALLS_AT_ONCE + 1
        end.set()
        await asyncio.gather(*slow, *calls, *files)

    asyncio.run(check())


def test_files_that_come_at_once_fit_into_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mlflow_app, "STALLED", 0.05)
    ended: list[str] = []

    async def check() -> None:
        whole, forever = asyncio.Event(), asyncio.Event()

        async def served(scope: Any, receive: Any, send: Any) -> None:
            message = await receive()
            ended.append(f"{scope['name']} {message['type']}")
            await send({"type": "http.response.start", "status": 200, "headers": []})
            # An answer may take its time.
            await asyncio.sleep(0.1)
            assert (await receive())["type"] == "later"

        async def send(_message: object) -> None:
            pass

        def start(name: str, size: int, event: asyncio.Event) -> asyncio.Task[None]:
            coming = [{"type": "http.request"}, {"type": "later"}]

            async def receive() -> dict[str, Any]:
                await event.wait()
                return coming.pop(0)

            headers = [(b"content-length", str(size).encode())]
            scope = {"type": "http", "path": FILE, "headers": headers, "name": name}
            return asyncio.create_task(application(scope, receive, send))

        application = restricted(served)
        whole.set()
        stalled = start("half", LARGEST_FILE // 2, forever)
        others = [start(name, LARGEST_FILE // 2 + 1, whole) for name in ("large", "next")]
        small = start("small", LARGEST_FILE // 2 - 1, whole)
        await asyncio.sleep(0.01)
        assert ended == []
        await asyncio.gather(*others, small)
        # The one of which nothing came is as one whose client has gone.
        assert ended == [
            "half http.disconnect",
            "large http.request",
            "next http.request",
            "small http.request",
        ]
        stalled.cancel()

    asyncio.run(check())


def test_the_calls_at_once_cannot_wait_for_the_connections_of_each_other(tmp_path: Path) -> None:
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME
    from sqlalchemy import event
    from sqlalchemy.pool import QueuePool

    store = SqlAlchemyStore(f"sqlite:///{tmp_path}/mlflow.db", str(tmp_path))
    run_id = store.create_run("0", "user", 0, [], "first").info.run_id
    pool = store.engine.pool
    assert isinstance(pool, QueuePool)
    held = [0]
    event.listen(pool, "checkout", lambda *_: held.append(held[-1] + 1))
    event.listen(pool, "checkin", lambda *_: held.append(held[-1] - 1))
    store.log_batch(run_id, [Metric("m", 1.0, 0, 0)], [Param("p", "1")], [RunTag(MLFLOW_RUN_NAME, "new")])
    assert held[-1] == 0
    assert max(held) > 1
    # One of them always gets all that it needs.
    assert CALLS_AT_ONCE * (max(held) - 1) < pool.size() + pool._max_overflow


def test_old_clients_of_the_store_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.store.artifact import s3_artifact_repo

    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    # It is replaced, and put back at the end.
    monkeypatch.setattr(s3_artifact_repo, "_cached_get_s3_client", s3_artifact_repo._cached_get_s3_client)
    keep_few_store_clients()
    made = []
    for minute in range(0, 25, 5):
        monkeypatch.setattr(s3_artifact_repo, "_get_utcnow_timestamp", lambda now=60 * minute: now)
        client = s3_artifact_repo._get_s3_client()
        assert s3_artifact_repo._get_s3_client() is client
        made.append(weakref.ref(client))
        del client
    gc.collect()
    assert [one() is not None for one in made] == [False, False, False, True, True]


def test_the_file_needs_nothing_of_the_project() -> None:
    code = """
import runpy, sys
runpy.run_path("pipelines/local/mlflow_app.py")
print({name.partition(".")[0] for name in sys.modules} & {"components", "pipelines", "mlflow"})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
