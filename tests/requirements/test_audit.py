"""`make audit`, against a service of the test that knows one flaw."""

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLAW = {
    "id": "OSV-1",
    "aliases": ["CVE-1"],
    "affected": [
        {
            "package": {"name": "flawed", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.1"}]}],
        }
    ],
}


class Service(BaseHTTPRequestHandler):
    """Knows a flaw of one package."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = {"vulns": [FLAW]} if asked["package"]["name"] == "flawed" else {}
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def service() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/query"
    server.shutdown()
    server.server_close()


def audit(directory: Path, url: str, exceptions: str = "") -> subprocess.CompletedProcess[str]:
    shutil.copy(ROOT / "requirements" / "audit.py", directory)
    hashed = f"--hash=sha256:{'0' * 64}"
    (directory / "of-the-test.lock").write_text(f"flawed==1.0 {hashed}\nsound==2.0 {hashed}\n")
    (directory / "audit-exceptions.txt").write_text(exceptions)
    options = ["--vulnerability-service", "osv", "--osv-url", url, "--cache-dir", str(directory / "cache")]
    command = [sys.executable, str(directory / "audit.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_flaw_is_refused_and_an_exception_accepts_it(tmp_path: Path, service: str) -> None:
    done = audit(tmp_path, service)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "of-the-test.lock: flawed 1.0 has CVE-1, mended in 1.1",
        "of-the-test.lock: 2 packages",
    ]
    done = audit(tmp_path, service, "OSV-1 9999-01-01 this code never calls it\nCVE-2 9999-01-01 gone\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:] == ["audit-exceptions.txt: CVE-2 is no longer reported: remove it"]


def test_a_service_that_does_not_answer_is_an_outage(tmp_path: Path) -> None:
    done = audit(tmp_path, "http://127.0.0.1:9/v1/query")
    assert (done.returncode, done.stdout) == (75, "")
    assert done.stderr.startswith("error: the vulnerability service must answer for of-the-test.lock but ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("CVE-1", "an exception must be ID YEAR-MONTH-DAY REASON but is 'CVE-1'"),
        ("CVE-1 2026-13-01 why", "an exception must be ID YEAR-MONTH-DAY REASON"),
        ("CVE-1 2026-01-01", "an exception must be ID YEAR-MONTH-DAY REASON"),
        ("CVE-1 2020-01-01 why", "CVE-1 was accepted until 2020-01-01: mend it, or decide anew"),
    ],
)
def test_an_exception_has_a_reason_and_an_end(tmp_path: Path, line: str, said: str) -> None:
    done = audit(tmp_path, "http://127.0.0.1:9/v1/query", line)
    assert done.returncode == 1
    assert said in done.stderr
