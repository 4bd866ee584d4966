import threading

import pytest

from benchmarks.stores.operations import conditional_put, default_checksums
from components.common.storage.s3 import s3_client
from tests.gateways import Request, Rule, gateway

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}
IGNORED, EXISTS, BUSY = None, (412, "PreconditionFailed"), (409, "ConditionalRequestConflict")


def memory(conflict: tuple[int, str] | None, *, always: bool = False) -> Rule:
    """Return a store that answers so to a condition that is not met, or to any."""
    kept: dict[str, bytes] = {}
    lock = threading.Lock()

    def rule(request: Request) -> tuple[int, bytes]:
        key = request.path.partition("?")[0]
        with lock:
            if request.method == "GET":
                return 200, kept[key]
            if conflict and "if-none-match" in request.headers and (always or key in kept):
                return conflict[0], f"<Error><Code>{conflict[1]}</Code></Error>".encode()
            kept[key] = request.body
            return 200, b""

    return rule


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (memory(IGNORED), "ignored: the second replaces the first"),
        (memory(EXISTS), "kept: 412 PreconditionFailed"),
        (memory(BUSY), "kept: 409 ConditionalRequestConflict"),
        (memory((501, "NotImplemented"), always=True), "refused: 501 NotImplemented"),
    ],
)
def test_what_comes_of_a_condition_is_told(rule: Rule, told: str) -> None:
    with gateway(rule) as store:
        assert conditional_put(s3_client(store.address, CREDENTIALS), "b") == told


def test_two_who_are_both_told_that_they_were_first_are_counted() -> None:
    def rule(request: Request) -> tuple[int, bytes]:
        if request.method == "GET":
            return 200, b"1"
        late = request.path.startswith("/b/once") and request.body == b"2"
        return (412, b"<Error><Code>PreconditionFailed</Code></Error>") if late else (200, b"")

    with gateway(rule) as store:
        told = conditional_put(s3_client(store.address, CREDENTIALS), "b")
    assert told == "kept: 412 PreconditionFailed; of 8 at once 8 are told that they were first"


def test_a_store_that_keeps_the_checksum_within_the_object_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)

    def rule(request: Request) -> tuple[int, bytes] | None:
        return kept(request) if request.method == "PUT" else (200, b"5\r\nframe\r\n0\r\n")

    kept = memory(IGNORED)
    with gateway(rule) as store:
        found = default_checksums(s3_client(store.address, CREDENTIALS), store.address, "b")
    assert "stored as a part of the object" in found
