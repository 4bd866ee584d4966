import os
from pathlib import Path

import pytest

from tests.gateways import gateway
from tests.pipelines.cluster.conftest import CommandLine
from tests.pipelines.cluster.dex import Dex, guarded
from tests.pipelines.cluster.kubeflow import Kubeflow

LIST = ("schedule", "list")


@pytest.fixture
def logged_in(kubeflow: Kubeflow, monkeypatch: pytest.MonkeyPatch) -> None:
    del kubeflow  # it unsets the variables first
    monkeypatch.setenv("KFP_USERNAME", "me@example.org")
    monkeypatch.setenv("KFP_PASSWORD", "s3cret")


@pytest.mark.usefixtures("logged_in")
@pytest.mark.parametrize("connectors", [["local"], ["ldap", "local"]])
def test_user_and_password_open_a_session_that_every_request_has(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine, connectors: list[str]
) -> None:
    dex = Dex()
    dex.connectors = connectors
    with guarded(kubeflow, dex) as host:
        done = mnist_pipeline("submit", "--wait", "--host", host)
        assert (done.status, done.err) == (0, [])
        assert mnist_pipeline("upload", "--host", host).status == 0
        assert mnist_pipeline("schedule", "set", "nightly", "--cron", "0 3 * * *", "--host", host).status == 0
    assert (len(kubeflow.runs), len(kubeflow.versions), len(kubeflow.recurring_runs)) == (1, 1, 1)
    assert len(dex.sessions) == 3


def test_a_session_of_a_browser_is_used_as_it_is(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    dex = Dex()
    with guarded(kubeflow, dex) as host:
        refused = mnist_pipeline(*LIST, "--host", host)
        assert (refused.status, refused.out) == (1, [])
        assert "refuses the login (HTTP 401" in refused.err[0]
        dex.sessions.add("copied")
        monkeypatch.setenv("KFP_COOKIE", "oauth2_proxy_kubeflow=copied")
        assert mnist_pipeline(*LIST, "--host", host).status == 0
    assert dex.sessions == {"copied"}


@pytest.mark.usefixtures("logged_in")
def test_a_login_goes_by_tls_that_is_trusted_and_by_the_proxy(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with guarded(kubeflow, Dex(), certificate) as host:
        done = mnist_pipeline(*LIST, "--host", host)
        assert done.err[0].startswith(f"error: no login to Kubeflow at {host} (self-signed certificate")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert mnist_pipeline(*LIST, "--host", host).status == 0
    with gateway(lambda _: (502, b"")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.address)
        mnist_pipeline(*LIST, "--host", "http://kubeflow.internal")
    assert proxy.asked[0].path == "http://kubeflow.internal/"


@pytest.mark.usefixtures("logged_in")
def test_a_wrong_password_is_told_and_shown_nowhere(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KFP_PASSWORD", "wr0ng")
    with guarded(kubeflow, Dex()) as host:
        done = mnist_pipeline(*LIST, "--host", host)
    assert (done.status, done.out) == (1, [])
    assert done.err == [
        f"error: Kubeflow at {host} refuses the login of 'me@example.org': correct KFP_USERNAME and KFP_PASSWORD."
    ]


@pytest.mark.usefixtures("logged_in")
def test_a_password_is_not_sent_to_another_kind_of_page_or_in_clear(
    kubeflow: Kubeflow, mnist_pipeline: CommandLine, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (line,) = mnist_pipeline(*LIST).err  # a Kubeflow without a login
    host = os.environ["KF_PIPELINES_ENDPOINT"]
    assert line.startswith(
        f"error: KFP_USERNAME is for a Kubeflow that asks for a login by Dex, but {host} leads to {host}/ (HTTP "
    )
    kubeflow.violations.clear()  # its page is none of the API
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    asked: list[str] = []

    def page(request: object) -> tuple[int, bytes]:
        asked.append(getattr(request, "method"))  # noqa: B009
        return 200, b"<html>"

    dex = Dex()
    with gateway(page) as in_clear, guarded(kubeflow, dex, certificate) as host:
        dex.elsewhere = in_clear.address
        (line,) = mnist_pipeline(*LIST, "--host", host).err
    assert line.startswith(f"error: the login must be https as {host} is but leads to {in_clear.address}")
    assert asked == ["GET"]
