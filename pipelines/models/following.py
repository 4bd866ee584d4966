"""A server that changes to the version that an alias names, once that is verified."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from components.common.errors import PipelineError, first_line, stated
from components.common.narration import say
from components.common.notify import Notice, notify
from pipelines.models.serve import ModelServer
from pipelines.models.served import Served

END_SECONDS = 5.0


class Follower:
    """Looks for another version again and again; one that cannot be verified is told once, and the old one answers.

    Args:
        server: What answers.
        newer: Returns the verified model that is to be served in place of another, None where that one is right.
        seconds: From one look to the next.
    """

    def __init__(self, server: ModelServer, newer: Callable[[Served], Served | None], seconds: float) -> None:
        self._server, self._newer, self._seconds = server, newer, seconds
        self._ending = threading.Event()
        server.follow_problem = ""

    def run(self) -> None:
        """Look until the end."""
        while not self._ending.wait(self._seconds):
            self.look()

    def look(self) -> None:
        """Look once."""
        served = self._server.served
        try:
            found = self._newer(served)
        # Whatever it is, the server answers on, and the next look may find better.
        except Exception as error:
            problem = str(stated(error) or first_line(error))
            if problem != self._server.follow_problem:
                say("serve", f"{served.about} answers on: {problem}")
                if isinstance(error, PipelineError):
                    notify(Notice("refused", f"{served.about} is served on", (problem,), None))
            self._server.follow_problem = problem
            return
        self._server.follow_problem = ""
        if found:
            self._server.replace(found)
            say("serve", f"{found.about} answers in place of {served.about}")

    def end(self) -> None:
        """Let `run` return."""
        self._ending.set()


@contextmanager
def following(
    server: ModelServer, newer: Callable[[Served], Served | None], seconds: float
) -> Iterator[None]:
    """Follow in a thread for as long as the context lasts; the arguments are those of `Follower`."""
    follower = Follower(server, newer, seconds)
    thread = threading.Thread(target=follower.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        follower.end()
        thread.join(END_SECONDS)
