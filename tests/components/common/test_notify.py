import base64
import email
import hashlib
import hmac
import json
import socketserver
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import ClassVar

import pytest

from components.common.notify import Notice, deliver, notify
from tests.receivers import Webhook, serving

NOTICE = Notice(
    "champion", "digits-cnn version 3 is the new champion", ("was 2 <b>", "a\x1b[2J"), "http://m/#/3"
)
SECRET = "T00SECRET"
KEY = b"k" * 24


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.common.notify.PAUSE", 0.0)
    for name in ("SLACK_URL", "WEBHOOK_URL", "WEBHOOK_SECRET", "SMTP_URL", "MAIL_TO", "MAIL_FROM", "KINDS"):
        monkeypatch.delenv(f"NOTIFY_{name}", raising=False)


class Mail(socketserver.StreamRequestHandler):
    """As much of SMTP as a client needs, with STARTTLS and a login where the server has a certificate."""

    received: ClassVar[list[EmailMessage]] = []
    logins: ClassVar[list[str]] = []
    # Commands that are refused, with the answer.
    refusals: ClassVar[list[tuple[str, str]]] = []

    def handle(self) -> None:
        self.connection.settimeout(10)
        self._say("220 here")
        while line := self.rfile.readline().decode().strip():
            verb = line.split(":")[0].upper()
            if verb == "STARTTLS":
                self._say("220 go on")
                self._secure()
            elif verb == "DATA":
                self._say("354 go on")
                self._receive()
            elif verb == "QUIT":
                self._say("421 in a hurry")
                return
            elif verb.startswith("AUTH PLAIN"):
                self.logins.append(base64.b64decode(line.split()[2]).decode())
                self._say("235 welcome")
            elif self.refusals and verb == self.refusals[0][0]:
                self._say(self.refusals.pop(0)[1])
            else:
                self._say(*self._greeting() if verb.startswith("EHLO") else ["250 fine"])

    def _greeting(self) -> list[str]:
        secured = isinstance(self.connection, ssl.SSLSocket)
        offers = getattr(self.server, "certificate", None)
        return ["250-here", "250 AUTH PLAIN" if secured else "250 STARTTLS" if offers else "250 AUTH PLAIN"]

    def _secure(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(getattr(self.server, "certificate", ""))
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)

    def _receive(self) -> None:
        lines = iter(self.rfile.readline, b".\r\n")
        self.received.append(email.message_from_bytes(b"".join(lines), policy=default))
        self._say("250 taken")

    def _say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())


@contextmanager
def mail_server(certificate: Path | None = None) -> Iterator[int]:
    for kept in (Mail.received, Mail.logins, Mail.refusals):
        kept.clear()
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mail)
    server.certificate = certificate  # type: ignore[attr-defined]
    with serving(server) as port:
        yield port


def test_without_receivers_nothing_is_sent() -> None:
    assert deliver(NOTICE) == {}


def test_slack_is_told_without_what_it_would_take_for_a_mention(
    webhook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SLACK_URL", webhook)
    assert deliver(NOTICE) == {"NOTIFY_SLACK_URL": ""}
    ((headers, body),) = Webhook.received
    assert headers["content-type"] == "application/json"
    assert json.loads(body) == {
        "text": "*digits-cnn version 3 is the new champion*\nwas 2 &lt;b&gt;\na\\x1b[2J\n<http://m/#/3|open>"
    }


def test_a_webhook_is_signed_and_a_second_copy_has_the_same_id(
    webhook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_WEBHOOK_URL", webhook)
    monkeypatch.setenv("NOTIFY_WEBHOOK_SECRET", f"whsec_{base64.b64encode(KEY).decode()}")
    Webhook.statuses.append(503)

    assert deliver(NOTICE) == {"NOTIFY_WEBHOOK_URL": ""}

    (first, _), (headers, body) = Webhook.received
    assert first["webhook-id"] == headers["webhook-id"]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    told = json.loads(body)
    assert (told["type"], told["data"]["link"]) == ("mnist-pipeline.champion", "http://m/#/3")
    assert told["data"]["lines"] == ["was 2 <b>", "a\\x1b[2J"]


@pytest.mark.parametrize(
    ("statuses", "requests", "failure"),
    [
        ([503, 429], 2, "it answered with status 429."),
        # These may have been taken, or will never be.
        ([500], 1, "it answered with status 500"),
        ([404], 1, "it answered with status 404"),
        ([302], 1, "it answered with status 302"),
        ([0], 1, "ConnectionError"),
    ],
)
def test_only_what_was_not_taken_is_sent_again(
    webhook: str, statuses: list[int], requests: int, failure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SLACK_URL", webhook)
    Webhook.statuses.extend(statuses)
    assert deliver(NOTICE)["NOTIFY_SLACK_URL"].startswith(failure)
    assert len(Webhook.received) == requests


def test_mail_goes_by_tls_to_who_logs_in(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("NOTIFY_MAIL_TO", "a@example.org, b@example.org")
    with mail_server(certificate) as port:
        monkeypatch.setenv("NOTIFY_SMTP_URL", f"smtp://me:p%40ss@127.0.0.1:{port}")
        Mail.refusals.append(("MAIL FROM", "451 later"))
        assert deliver(NOTICE) == {"NOTIFY_SMTP_URL": ""}
    (mail,) = Mail.received
    assert Mail.logins == ["\0me\0p@ss"] * 2
    assert (mail["From"], mail["To"]) == ("a@example.org", "a@example.org, b@example.org")
    assert mail["Subject"] == NOTICE.subject
    assert mail.get_content().splitlines() == ["was 2 <b>", "a\\x1b[2J", "http://m/#/3"]


def test_a_login_is_not_sent_without_tls_and_mail_without_login_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_MAIL_TO", "a@example.org,b@example.org")
    with mail_server() as port:
        monkeypatch.setenv("NOTIFY_SMTP_URL", f"smtp://me:{SECRET}@127.0.0.1:{port}")
        assert "must lead to a server with TLS" in deliver(NOTICE)["NOTIFY_SMTP_URL"]
        assert not Mail.logins
        monkeypatch.setenv("NOTIFY_SMTP_URL", f"smtp://127.0.0.1:{port}")
        Mail.refusals.append(("RCPT TO", "550 nobody"))
        assert deliver(NOTICE) == {"NOTIFY_SMTP_URL": "it refused 1 of the addresses of NOTIFY_MAIL_TO."}
    assert len(Mail.received) == 1


def test_receivers_that_fail_are_told_without_their_secrets_and_never_raise(
    webhook: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NOTIFY_SLACK_URL", f"http://127.0.0.1:9/services/{SECRET}")
    monkeypatch.setenv("NOTIFY_WEBHOOK_URL", f"no-scheme/{SECRET}")
    monkeypatch.setenv("NOTIFY_MAIL_TO", "a@example.org")
    for mail in (f"smtp://me:{SECRET}@127.0.0.1:9", f"smtp://me:/{SECRET}@127.0.0.1", SECRET):
        monkeypatch.setenv("NOTIFY_SMTP_URL", mail)
        notify(NOTICE)
    monkeypatch.setenv("NOTIFY_SLACK_URL", webhook)
    Webhook.statuses.append(404)
    notify(NOTICE)
    said = capsys.readouterr().out
    assert SECRET not in said
    assert "[notify] NOTIFY_SLACK_URL told nobody 'digits-cnn version 3 is the new champion': Connect" in said
    assert said.count("NOTIFY_SMTP_URL told nobody") == 4


@pytest.mark.parametrize("bound", ["ALL_SECONDS", "ANSWER_SECONDS"])
def test_a_receiver_that_does_not_answer_is_waited_for_shortly(
    bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"components.common.notify.{bound}", 0.1)
    with socketserver.TCPServer(("127.0.0.1", 0), socketserver.BaseRequestHandler) as silent:
        monkeypatch.setenv("NOTIFY_SLACK_URL", f"http://127.0.0.1:{silent.server_address[1]}")
        assert deliver(NOTICE) == {"NOTIFY_SLACK_URL": "it did not answer for 0.1 s."}


@pytest.mark.parametrize(
    ("kinds", "requests", "said"),
    [
        ("failed, waiting", 0, ""),
        ("failed,champion", 1, ""),
        (
            "champions",
            0,
            "NOTIFY_KINDS must name some of failed, champion, refused, drift, waiting but names",
        ),
    ],
)
def test_receivers_are_told_the_kinds_that_are_wanted(
    webhook: str,
    kinds: str,
    requests: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("NOTIFY_SLACK_URL", webhook)
    monkeypatch.setenv("NOTIFY_KINDS", kinds)
    notify(NOTICE)
    assert len(Webhook.received) == requests
    assert said in capsys.readouterr().out
