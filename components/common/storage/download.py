"""Downloads over http, within bounds of place, size and time."""

import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from components.common import bounds
from components.common.bounds import require_within
from components.common.errors import PipelineError, UnavailableError
from components.common.narration import say
from components.common.settings import settings
from components.common.storage.address import shown
from components.common.storage.files import written_file

if TYPE_CHECKING:
    import requests

CONNECT_SECONDS, READ_SECONDS = 3, 30
CHUNK = 2**14


@dataclass
class _Progress:
    """What has come, and whether it is still wanted."""

    received: int = 0
    wanted: bool = True


def private_allowed() -> bool:
    """Return whether data may come from private addresses and from files of this machine."""
    allowed = settings().data_allow_private
    return settings().kubernetes_service_host is None if allowed is None else allowed


def download(uri: str, target: Path) -> bool:
    """Copy the file at an http(s) address to `target`; return False where there is none.

    Raises:
        PipelineError: The server refuses, or the file or its place is outside the bounds.
        UnavailableError: The server does not answer, or sends too slowly.
    """
    progress, outcome = _Progress(), Future[bool]()

    def work() -> None:
        try:
            outcome.set_result(_received(uri, target, progress))
        except BaseException as error:  # the waiting thread raises it
            outcome.set_exception(error)

    # A thread of its own: a server that sends a byte now and then holds up whoever reads.
    Thread(target=work, daemon=True).start()
    try:
        _watch(shown(uri), outcome, progress)
    finally:
        progress.wanted = False
    return outcome.result()


def _watch(name: str, outcome: Future[bool], progress: _Progress) -> None:
    """Wait for the end of a download, and say how far it is; raise where it is too slow."""
    started, before = time.monotonic(), 0
    while True:
        try:
            outcome.exception(timeout=bounds.LEAST_SECONDS)
        except TimeoutError:
            received, seconds = progress.received, time.monotonic() - started
        else:
            return
        if received - before < bounds.LEAST_BYTES:
            raise UnavailableError(
                f"{name} must send {bounds.LEAST_BYTES:,} bytes in {bounds.LEAST_SECONDS:g} s but sent "
                f"{received - before:,}."
            )
        if seconds > bounds.LONGEST_DOWNLOAD:
            raise UnavailableError(
                f"{name} must be fetched in {bounds.LONGEST_DOWNLOAD:,} s but only {received:,} bytes came."
            )
        before = received
        say(
            "ingest", f"{name}: {received / 2**20:,.1f} MiB in {seconds:.0f} s of {bounds.LONGEST_DOWNLOAD:,}"
        )


def _received(uri: str, target: Path, progress: _Progress) -> bool:
    name = shown(uri)
    way_out = "give a smaller file"
    with _answer(uri, name) as response:
        # A public bucket that may not be listed answers 403 for an object that it does not have.
        if response.status_code == 404 or (response.status_code == 403 and "?" not in uri):
            return False
        _require_success(response.status_code, name)
        announced = response.headers.get("Content-Length", "0")
        require_within(
            int(announced) if announced.isdecimal() and len(announced) < 20 else 0,
            bounds.LARGEST_DOWNLOAD,
            f"{name}: bytes",
            way_out,
        )
        with written_file(target) as partial:
            with partial.open("wb") as file:
                for part in response.iter_content(CHUNK):
                    progress.received += file.write(part)
                    require_within(progress.received, bounds.LARGEST_DOWNLOAD, f"{name}: bytes", way_out)
                    if not progress.wanted:
                        break
            if not progress.wanted:
                partial.unlink()
    return True


def _require_success(status: int, name: str) -> None:
    if status == 429 or status >= 500:
        raise UnavailableError(f"{name} answers {status}.")
    if status == 403:
        raise PipelineError(f"{name} must be readable but answers 403: its signature may have expired.")
    if status != 200:
        raise PipelineError(
            f"{name} must be a file that can be read but answers {status}: correct the address."
        )


@contextmanager
def _answer(uri: str, name: str) -> "Iterator[requests.Response]":
    """Yield the answer of the server; what fails on the way is an error of ours."""
    import requests

    try:
        with requests.Session() as session:
            session.max_redirects = bounds.MOST_REDIRECTS
            if not private_allowed():
                from components.common.storage.public_adapter import PublicAdapter

                session.mount("http://", PublicAdapter())
                session.mount("https://", PublicAdapter())
            # Else a file that is compressed already may be inflated on the way.
            headers = {"Accept-Encoding": "identity"}
            with session.get(
                uri, stream=True, headers=headers, timeout=(CONNECT_SECONDS, READ_SECONDS)
            ) as found:
                yield found
    except requests.exceptions.SSLError as error:
        raise PipelineError(
            f"{name} must have a certificate that can be trusted but has none: correct the address, or name its "
            "authority in REQUESTS_CA_BUNDLE."
        ) from error
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        raise UnavailableError(f"{name} does not answer ({type(error).__name__}).") from error
    # The address is none, leads in a circle or to another kind of address, or the content is badly packed.
    except (requests.RequestException, ValueError) as error:
        raise PipelineError(
            f"{name} must be the address of a file but is not ({type(error).__name__}): correct it."
        ) from error
