import threading
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from components.common.data.request_log import Requests, read_requests
from components.common.data.spec import MNIST_SPEC, ImageSpec
from components.common.errors import PipelineError, UnavailableError
from components.common.storage.object_store import ObjectStore
from pipelines.local.platform import Platform
from pipelines.models import request_logger
from pipelines.models.request_logger import RequestLogger, logged_requests
from pipelines.models.served import Served
from tests.records import COLOUR

STORE: Any = SimpleNamespace()


def served(spec: ImageSpec = MNIST_SPEC, version: str = "7") -> Served:
    classifier: Any = SimpleNamespace(spec=spec)
    return Served(classifier, 0.5, "blobs", version)


def asked(count: int, spec: ImageSpec = MNIST_SPEC) -> tuple[Any, Any]:
    rng = np.random.default_rng(count)
    images = rng.integers(0, 256, (count, *spec.shape), np.uint8)
    return images, rng.dirichlet(np.ones(len(spec.classes)), count).astype(np.float32)


class Written:
    """What was written, in place of a store that may fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.batches = list[Requests]()
        self.error: Exception | None = None
        monkeypatch.setattr(request_logger, "write_requests", self._write)

    def _write(self, store: object, prefix: str, requests: Requests) -> None:
        del store, prefix
        if self.error:
            raise self.error
        self.batches.append(requests)


def test_requests_are_kept_in_the_store_until_the_end(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in platform.environment.items():
        monkeypatch.setenv(name, value)
    uri = f"s3://{platform.bucket}/logger/of-test/"
    started = time.time()
    images, answers = asked(3)
    wide, named = asked(1, COLOUR)
    with logged_requests(uri, 1.0) as logger:
        logger.add("many", served(), images, answers)
        logger.add("one", served(COLOUR, "8"), wide, named)
        logger.add("none", served(), images[:0], answers[:0])
    assert (logger.chosen, logger.kept, logger.dropped) == (4, 4, 0)
    assert f"logged 4 images at s3://{platform.bucket}/logger/of-test; 0 more" in capsys.readouterr().out
    store, _ = ObjectStore.for_uri(uri)
    # Images of one size are in one file.
    assert len([key for key in store.keys("logger/of-test/") if key.endswith(".npz")]) == 2
    found = read_requests(store, "logger/of-test", started, time.time() + 1)
    assert found is not None
    assert found.ids.tolist() in (["many-0", "many-1", "many-2"], ["one"])


def test_a_sample_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written(monkeypatch)
    logger = RequestLogger(STORE, "log", 0.1)
    images, answers = asked(2000)
    logger.add("many", served(), images, answers)
    logger.write()
    (batch,) = written.batches
    # Six standard deviations of a binomial distribution.
    assert abs(len(batch) - 200) < 81
    places = [int(name.removeprefix("many-")) for name in batch.ids]
    np.testing.assert_array_equal(batch.images, images[places])
    np.testing.assert_array_equal(batch.probabilities, answers[places])
    np.testing.assert_array_equal(batch.rejected, answers[places].max(axis=1) < 0.5)
    assert set(batch.versions) == {"7"}


def test_what_finds_no_room_is_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written(monkeypatch)
    images, answers = asked(5)
    monkeypatch.setattr(
        request_logger, "MOST_WAITING", 3 * (images[0].nbytes + answers[0].nbytes + request_logger.ROW_BYTES)
    )
    logger = RequestLogger(STORE, "log", 1.0)
    for _ in range(2):
        logger.add("many", served(), images, answers)
    assert (logger.chosen, logger.dropped) == (10, 7)
    logger.write()
    logger.add("more", served(), images[:1], answers[:1])
    logger.write()
    assert [batch.ids.tolist() for batch in written.batches] == [["many-0", "many-1", "many-2"], ["more"]]
    assert (logger.kept, logger.dropped) == (4, 7)


def test_an_outage_is_told_once_and_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written = Written(monkeypatch)
    logger = RequestLogger(STORE, "log", 1.0)
    written.error = UnavailableError("the store is away.")
    for name in ("a", "b"):
        logger.add(name, served(), *asked(1))
        logger.write()
    assert capsys.readouterr().out == "[serve] requests are not logged: the store is away.\n"
    written.error = None
    logger.write()
    assert written.batches[0].ids.tolist() == ["a", "b"]
    # A refusal is not waited for.
    written.error = PipelineError("no such bucket.")
    logger.add("c", served(), *asked(1))
    logger.write()
    assert (logger.kept, logger.dropped, logger.problem) == (2, 1, "no such bucket.")


def test_an_outage_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written(monkeypatch)
    monkeypatch.setattr(request_logger, "LONGEST_BATCH", 0.0)
    logger = RequestLogger(STORE, "log", 1.0)
    written.error = UnavailableError("the store is away.")
    logger.add("a", served(), *asked(1))
    logger.write()
    assert logger.dropped == 1


def test_a_store_that_hangs_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, leave = threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        begun.set()
        leave.wait(30)

    monkeypatch.setattr(request_logger, "write_requests", hang)
    monkeypatch.setattr(request_logger, "WRITE_SECONDS", 0.01)
    monkeypatch.setattr(request_logger, "END_SECONDS", 0.01)
    logger = RequestLogger(STORE, "log", 1.0)
    thread = threading.Thread(target=logger.run, daemon=True)
    thread.start()
    logger.add("a", served(), *asked(1))
    assert begun.wait(30)
    logger.add("b", served(), *asked(1))
    assert logger.chosen == 2
    leave.set()
    logger.end()
    thread.join(30)
    assert logger.kept == 2


@pytest.mark.parametrize("sample", [0.0, -1.0, 1.1, float("nan")])
def test_a_sample_is_a_share(sample: float) -> None:
    with (
        pytest.raises(PipelineError, match="--sample must be above 0 and at most 1"),
        logged_requests("s3://a/b", sample),
    ):
        pass


def test_a_key_that_may_write_and_do_nothing_else_is_enough(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in platform.environment.items():
        monkeypatch.setenv(name, value)

    def refuse(*_: object) -> None:
        raise PipelineError("this key may not.")

    for asked_for in ("sizes", "_stream", "delete"):
        monkeypatch.setattr(ObjectStore, asked_for, refuse)
    with logged_requests(f"s3://{platform.bucket}/logger/writes", 1.0) as logger:
        logger.add("one", served(), *asked(1))
    assert (logger.kept, logger.problem) == (1, "")


def test_a_store_that_refuses_is_found_at_the_start(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in platform.environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(PipelineError, match="bucket nowhere"), logged_requests("s3://nowhere/log", 1.0):
        pass
