"""Login to a Kubeflow behind Dex: from user and password to the cookie of a session, as a browser gets it."""

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from components.common.errors import PipelineError
from components.common.storage.address import shown
from pipelines.cluster.errors import cause

if TYPE_CHECKING:
    import requests

SECONDS = (5.0, 30.0)  # to connect, and to wait for an answer
FORM = re.compile(r"/auth/[^/]+/login/?")
# Of Dex's users by password; where there are other connectors too, it asks which.
CONNECTOR = "local"


def session_cookie(
    host: str, user: str, password: str, *, certificates: str | None, proxies: dict[str, str]
) -> str:
    """Log in, and return the session as the value of the header `Cookie`.

    Args:
        host: Address of Kubeflow Pipelines, at which Dex answers too, or which leads there.
        user: The user's name for Dex, mostly a mail address.
        password: Their password.
        certificates: File of certificates to trust.
        proxies: Proxies by scheme.

    Raises:
        PipelineError: No Dex asks for a login there, or it refuses this one.
    """
    import requests

    with requests.Session() as session:
        # Else requests would prefer its own variables to what the other requests to Kubeflow use.
        session.trust_env = False
        session.verify, session.proxies = certificates or True, dict(proxies)
        try:
            form = _login_form(session, host)
            page = session.post(form, {"login": user, "password": password}, timeout=SECONDS)
            if _path(page).endswith("/approval"):
                page = session.post(page.url, {"approval": "approve"}, timeout=SECONDS)
        except requests.RequestException as error:
            below = next((part for part in error.args if isinstance(part, BaseException)), error)
            raise PipelineError(
                f"no login to Kubeflow at {shown(host)} ({cause(below)}): correct --host, or name its certificates in "
                "SSL_CERT_FILE."
            ) from error
        if FORM.search(_path(page)):
            raise PipelineError(
                f"Kubeflow at {shown(host)} refuses the login of {user!r}: correct KFP_USERNAME and KFP_PASSWORD."
            )
        return session.prepare_request(requests.Request("GET", host)).headers.get("Cookie", "")


def _path(page: "requests.Response") -> str:
    return urlsplit(page.url).path


def _login_form(session: "requests.Session", host: str) -> str:
    """Return the address of Dex's form for user and password."""
    page = session.get(f"{host}/", timeout=SECONDS)
    address = urlsplit(host)
    if page.status_code in {401, 403}:  # the page of oauth2-proxy that starts a login
        start = address._replace(path="/oauth2/start").geturl()
        page = session.get(start, params={"rd": address.path or "/"}, timeout=SECONDS)
    if (choice := _path(page).rstrip("/")).endswith("/auth"):
        chosen = urlsplit(page.url)._replace(path=f"{choice}/{CONNECTOR}").geturl()
        page = session.get(chosen, timeout=SECONDS)
    if not FORM.search(_path(page)):
        raise PipelineError(
            f"KFP_USERNAME is for a Kubeflow that asks for a login by Dex, but {shown(host)} leads to "
            f"{shown(page.url)} (HTTP {page.status_code}): unset it, or give the session of a browser in KFP_COOKIE."
        )
    if address.scheme == "https" != urlsplit(page.url).scheme:
        raise PipelineError(
            f"the login must be https as {shown(host)} is but leads to {shown(page.url)}, where everybody on the way "
            "can read the password: correct Dex's address, or give the session of a browser in KFP_COOKIE."
        )
    return page.url
