"""A stand-in for oauth2-proxy and Dex before Kubeflow, with the pages, redirects and cookies of a real login.

The order of the pages is that of Kubeflow's manifests: oauth2-proxy answers 401 below /apis/ and 403 elsewhere, starts
a login at /oauth2/start, and makes a session of what Dex hands back. Dex lets people choose a connector, asks for the
password in a form, and for an approval in another.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.cookies import SimpleCookie
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

from tests.pipelines.cluster.kubeflow import Handler, Kubeflow, serving


class Dex:
    """What the guard knows; tests look here, and set what it is to do.

    Attributes:
        users: Passwords by user.
        connectors: Of several Dex asks which, and by one alone it goes on.
        sessions: Values of the cookie that are let in.
        elsewhere: Beginning of an address at which Dex's own pages are, where it is another.
    """

    def __init__(self) -> None:
        self.users = {"me@example.org": "s3cret"}
        self.connectors = ["local", "ldap"]
        self.sessions: set[str] = set()
        self.elsewhere = ""
        self.states: set[str] = set()
        self.codes: set[str] = set()


class Guarded(Handler):
    """Hands on what comes with a session, and else answers as guard and Dex."""

    dex: Dex

    def handle_any(self) -> None:
        cookies = SimpleCookie(self.headers.get("Cookie", ""))
        session = cookies.get("oauth2_proxy_kubeflow")
        if session and session.value in self.dex.sessions:
            if self.path == "/":  # Kubeflow's first page
                self._send(200)
            else:
                super().handle_any()
            return
        length = int(self.headers.get("Content-Length", 0))
        self.form = {name: given for name, (given, *_) in parse_qs(self.rfile.read(length).decode()).items()}
        url = urlsplit(self.path)
        self.query = {name: given for name, (given, *_) in parse_qs(url.query).items()}
        self.csrf = cookies["_oauth2_proxy_csrf"].value if "_oauth2_proxy_csrf" in cookies else ""
        if page := self.pages.get((self.command, url.path)):
            page(self)
        else:
            self._send(401 if url.path.startswith("/apis/") else 403)

    do_GET = do_POST = do_DELETE = handle_any  # noqa: N815

    def _send(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content_Type": "text/html", "Content_Length": "6", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(b"<html>")

    def _start(self) -> None:
        state = secrets.token_hex(4)
        self.dex.states.add(state)
        self._send(
            302,
            Location=f"/dex/auth?state={state}",
            Set_Cookie=f"_oauth2_proxy_csrf={state}; Path=/; HttpOnly",
        )

    def _choose(self) -> None:
        if len(self.dex.connectors) > 1:
            self._send(200)
        else:
            self._send(302, Location=f"/dex/auth/{self.dex.connectors[0]}?state={self.query['state']}")

    def _connector(self) -> None:
        self._send(302, Location=f"{self.dex.elsewhere}/dex/auth/local/login?state={self.query['state']}")

    def _log_in(self) -> None:
        if self.dex.users.get(self.form["login"]) != self.form["password"]:
            self._send(401)
            return
        self._send(303, Location=f"/dex/approval?req={self.query['state']}&hmac=1")

    def _approve(self) -> None:
        code = secrets.token_hex(4)
        self.dex.codes.add(code)
        assert self.form == {"approval": "approve"}
        self._send(303, Location=f"/oauth2/callback?code={code}&state={self.query['req']}")

    def _end(self) -> None:
        if self.query["code"] not in self.dex.codes or self.csrf != self.query["state"]:
            self._send(403)
            return
        session = secrets.token_hex(4)
        self.dex.sessions.add(session)
        self._send(302, Location="/", Set_Cookie=f"oauth2_proxy_kubeflow={session}; Path=/; HttpOnly")

    pages: ClassVar[dict[tuple[str, str], Callable[["Guarded"], None]]] = {
        ("GET", "/oauth2/start"): _start,
        ("GET", "/dex/auth"): _choose,
        ("GET", "/dex/auth/local"): _connector,
        ("GET", "/dex/auth/local/login"): lambda self: self._send(200),
        ("POST", "/dex/auth/local/login"): _log_in,
        ("GET", "/dex/approval"): lambda self: self._send(200),
        ("POST", "/dex/approval"): _approve,
        ("GET", "/oauth2/callback"): _end,
    }


@contextmanager
def guarded(kubeflow: Kubeflow, dex: Dex, certificate: Path | None = None) -> Iterator[str]:
    """Serve `kubeflow` behind `dex`, and yield the address."""
    with serving(kubeflow, certificate, type("Guarded", (Guarded,), {"dex": dex})) as host:
        yield host
