"""Notices to people and programs of what a run, a command or a monitor came to.

The settings name the receivers: an incoming webhook of Slack or of what speaks like it, a webhook for programs, signed
as Standard Webhooks (standardwebhooks.com) describes it, and mail.
"""

import base64
import email.utils
import hashlib
import hmac
import json
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from email.message import EmailMessage
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Literal, get_args
from urllib.parse import unquote, urlsplit

from components.common.errors import PipelineError, StatedError, UnavailableError
from components.common.narration import say
from components.common.printable import printable
from components.common.settings import Settings, settings

if TYPE_CHECKING:
    import smtplib

STEP = "notify"
Kind = Literal["failed", "champion", "refused", "drift", "waiting"]
# Of one connection or answer, and of all receivers together, which are sent to at the same time.
ANSWER_SECONDS, ALL_SECONDS = 10.0, 30.0
TRIES, PAUSE = 2, 1.0  # seconds between
MOST_LINES, LONGEST_LINE = 20, 500
# Statuses that say that the request was not taken, and may be sent again.
NOT_TAKEN = {429, 503}
# Without the s, TLS begins once the server offers it.
PORTS = {"smtp": 587, "smtps": 465}


@dataclass(frozen=True)
class Notice:
    """What receivers are told.

    Attributes:
        kind: What happened: a run failed, there is a new champion, the gate refused a candidate, the requests drifted,
            or a version waits for approval.
        subject: The news in one line.
        lines: Further facts, each in one line.
        link: Address of the page to look at; None for none.
    """

    kind: Kind
    subject: str
    lines: tuple[str, ...]
    link: str | None


def notify(event: Notice) -> None:
    """Send a notice to the receivers that the settings name; say which of them could not be reached.

    It never raises, and takes half a minute at most. Nothing is sent twice to a receiver that may have taken it.
    """
    try:
        outcome = deliver(event) if event.kind in _wanted(settings()) else {}
    except StatedError as error:
        outcome = {"NOTIFY_KINDS": str(error)}
    for receiver, failure in outcome.items():
        if failure:
            say(STEP, f"{receiver} told nobody {event.subject!r}: {failure}")


def has_receivers() -> bool:
    """Return whether the settings name a receiver."""
    return bool(_receivers(settings()))


def deliver(event: Notice) -> dict[str, str]:
    """Send a notice of any kind, and return why it failed by the variable that names the receiver; "" where it did not.

    Raises:
        PipelineError: A setting breaks its rule.
    """
    given = settings()
    receivers = _receivers(given)
    told = Notice(
        event.kind,
        printable(event.subject)[:LONGEST_LINE],
        tuple(printable(line)[:LONGEST_LINE] for line in event.lines[:MOST_LINES]),
        event.link,
    )
    outcome = dict.fromkeys(receivers, f"it did not answer for {ALL_SECONDS:g} s.")

    def work(name: str, send: Callable[[Settings, Notice], None]) -> None:
        outcome[name] = _failure(lambda: send(given, told))

    threads = [Thread(target=work, args=receiver, daemon=True) for receiver in receivers.items()]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + ALL_SECONDS
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return dict(outcome)


def _wanted(given: Settings) -> set[str]:
    wanted = {kind.strip() for kind in (given.notify_kinds or "").split(",")} - {""}
    if unknown := wanted - set(get_args(Kind)):
        raise PipelineError(
            f"NOTIFY_KINDS must name some of {', '.join(get_args(Kind))} but names {min(unknown)!r}: correct it."
        )
    return wanted or set(get_args(Kind))


def _receivers(given: Settings) -> dict[str, Callable[[Settings, Notice], None]]:
    known: dict[str, tuple[str | None, Callable[[Settings, Notice], None]]] = {
        "NOTIFY_SLACK_URL": (given.notify_slack_url, _to_slack),
        # By the id a receiver knows a second copy.
        "NOTIFY_WEBHOOK_URL": (given.notify_webhook_url, partial(_to_webhook, f"msg_{uuid.uuid4().hex}")),
        "NOTIFY_SMTP_URL": (given.notify_smtp_url, _to_mail),
    }
    return {name: send for name, (address, send) in known.items() if address}


def _failure(send: Callable[[], None]) -> str:
    """Send, twice where the receiver was away, and return why it failed; "" if it did not.

    Messages of libraries may hold the address, whose path is the secret of a webhook. So they are not passed on.
    """
    import tenacity

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(UnavailableError),
        stop=tenacity.stop_after_attempt(TRIES),
        wait=tenacity.wait_fixed(PAUSE),
        reraise=True,
    )
    try:
        retrying(send)
    except StatedError as error:
        return str(error)
    except Exception as error:  # a receiver never fails what it is told about
        return _without_message(error)
    return ""


def _without_message(error: BaseException) -> str:
    """Return an error's kind, with what the operating system says."""
    deepest = error
    while cause := deepest.__cause__ or deepest.__context__:
        deepest = cause
    code = getattr(error, "smtp_code", "")
    told = f"{type(error).__name__} {code}".rstrip()
    system = deepest.strerror if isinstance(deepest, OSError) else None
    return f"{told}: {system}" if system else told


def _to_slack(given: Settings, told: Notice) -> None:
    title = f"*{_for_slack(told.subject)}*"
    link = [f"<{told.link}|open>"] if told.link else []
    text = "\n".join([title, *map(_for_slack, told.lines), *link])
    _post(str(given.notify_slack_url), json.dumps({"text": text}).encode(), {})


def _for_slack(text: str) -> str:
    """Escape what Slack takes for a mention, a link or an entity."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _to_webhook(number: str, given: Settings, told: Notice) -> None:
    body = json.dumps({"type": f"mnist-pipeline.{told.kind}", "data": asdict(told)}).encode()
    now = str(int(time.time()))
    headers = {"webhook-id": number, "webhook-timestamp": now}
    if secret := given.notify_webhook_secret:
        headers["webhook-signature"] = webhook_signature(secret, number, now, body)
    _post(str(given.notify_webhook_url), body, headers)


def webhook_signature(secret: str, number: str, timestamp: str, body: bytes) -> str:
    """Return the header `webhook-signature` of Standard Webhooks: HMAC-SHA256 of id, time and body.

    Args:
        secret: `whsec_` and the key in base64; any other text is the key itself.
        number: The header `webhook-id`.
        timestamp: The header `webhook-timestamp`, seconds since 1970.
        body: The body as it is sent.
    """
    coded = secret.removeprefix("whsec_")
    key = base64.b64decode(coded, validate=True) if coded != secret else secret.encode()
    signed = hmac.new(key, f"{number}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"


def _post(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    import requests
    from urllib3.exceptions import ConnectTimeoutError

    try:
        # The body is for this address alone, and of the answer only the head counts.
        answer = requests.post(
            url,
            data=body,
            headers={"Content-Type": "application/json", **headers},
            timeout=ANSWER_SECONDS,
            allow_redirects=False,
            stream=True,
        )
    except requests.exceptions.ConnectionError as error:
        # With a connection the body may have been taken, although no answer came.
        if isinstance(getattr(error.args[0], "reason", None), ConnectTimeoutError):
            raise UnavailableError(_without_message(error)) from None
        raise
    except requests.exceptions.ReadTimeout:
        # It may have been taken all the same.
        raise PipelineError(f"it did not answer for {ANSWER_SECONDS:g} s.") from None
    answer.close()
    if not 200 <= answer.status_code < 300:
        kind = UnavailableError if answer.status_code in NOT_TAKEN else PipelineError
        raise kind(f"it answered with status {answer.status_code}.")


def _to_mail(given: Settings, told: Notice) -> None:
    import smtplib

    message = _mail(given, told)
    server = _mail_server(given)
    try:
        refused = server.send_message(message)
    except smtplib.SMTPResponseException as error:
        if error.smtp_code < 500:
            raise UnavailableError(_without_message(error)) from None
        raise
    finally:
        # The mail is taken, or is not, before the goodbye.
        with suppress(smtplib.SMTPException, OSError):
            server.quit()
    if refused:
        raise PipelineError(f"it refused {len(refused)} of the addresses of NOTIFY_MAIL_TO.")


def _mail(given: Settings, told: Notice) -> EmailMessage:
    if not given.notify_mail_to:
        raise PipelineError("NOTIFY_MAIL_TO must hold the addresses to write to but is not set: set it.")
    message = EmailMessage()
    message["From"] = given.notify_mail_from or given.notify_mail_to.partition(",")[0]
    message["To"] = given.notify_mail_to
    message["Subject"] = told.subject
    message["Date"] = email.utils.localtime()
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("\n".join([*told.lines, *([told.link] if told.link else [])]) + "\n")
    return message


def _mail_server(given: Settings) -> "smtplib.SMTP":
    """Connect to the mail server, with TLS where it is offered, and log in, which asks for TLS."""
    import smtplib
    import ssl

    address = urlsplit(str(given.notify_smtp_url))
    if address.scheme not in PORTS or not address.hostname:
        raise PipelineError("NOTIFY_SMTP_URL must be smtp://HOST or smtps://HOST but is neither: correct it.")
    place = address.hostname, address.port or PORTS[address.scheme]
    trusted = given.ssl_cert_file or given.requests_ca_bundle or given.curl_ca_bundle
    context = ssl.create_default_context(cafile=trusted)
    try:
        server = (
            smtplib.SMTP_SSL(*place, timeout=ANSWER_SECONDS, context=context)
            if address.scheme == "smtps"
            else smtplib.SMTP(*place, timeout=ANSWER_SECONDS)
        )
    except OSError as error:
        raise UnavailableError(_without_message(error)) from None
    try:
        server.ehlo_or_helo_if_needed()
        if address.scheme == "smtp" and server.has_extn("starttls"):
            server.starttls(context=context)
        if address.username:
            _require_tls(server)
            server.login(unquote(address.username), unquote(address.password or ""))
    except BaseException:
        server.close()
        raise
    return server


def _require_tls(server: "smtplib.SMTP") -> None:
    import ssl

    if not isinstance(server.sock, ssl.SSLSocket):
        raise PipelineError(
            "NOTIFY_SMTP_URL must lead to a server with TLS where it holds a login but this offers none: "
            "give smtps://, or an address without a login."
        )
