import subprocess
import sys
from pathlib import Path


def test_swift_still_needs_to_be_led_to_its_sockets(tmp_path: Path) -> None:
    """In a process of its own, because Swift replaces parts of Python in that which serves."""
    code = """
from eventlet import wsgi, spawn
from swift.common.bufferedhttp import BufferedHTTPConnection, http_connect
from pipelines.compat.swift_sockets import dial_sockets, listen_at

def application(environ, start):
    start("200 OK", [])
    return [environ["PATH_INFO"].encode()]

listen_at(7)  # as an earlier process leaves it
spawn(wsgi.server, listen_at(7), application, log_output=False)
try:
    http_connect("127.0.0.1", 7, "disk", 0, "GET", "/path")
except ConnectionRefusedError:
    print("by itself it dials a port")
dial_sockets()
for _ in range(2):
    print(http_connect("127.0.0.1", 7, "disk", 0, "GET", "/path").getresponse().read().decode())
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["by itself it dials a port", "/disk/0/path", "/disk/0/path"]
