#!/usr/bin/env bash
# Package: swift 2.38.0 (OpenStack Object Storage).
#
# Guess: a store that answers 412 to `If-None-Match: *` where the object is there makes sure that of two writers of a
# new object one alone is told that it was stored, as S3 does. Then a put with this condition is a lock or a claim.
#
# Behaviour: the object server compares when a request begins, and not when the object is put in place. Of two puts
# that overlap both are answered with 201, and the content of the one with the later time stamp stays. A put that comes
# afterwards gets its 412. Through the S3 interface 8 of 8 writers at once were told that they were first.
#
# For a pipeline like this: a claim of a work item, or a journal whose next number is taken by a conditional put, works
# in every test that writes one after the other and loses entries under load, without an error. Ask a database, a
# server that numbers in a transaction, or a file lock, and take the answer of a store for no more than a hint.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install -qq --disable-pip-version-check swift==2.38.0 pyeclib==1.8.0
cat >"$scratch/overlap.py" <<'PYTHON'
import io
import os
import sys
from importlib.metadata import version

from swift.common import utils
from swift.common.swob import Request
from swift.obj.server import ObjectController

utils.HASH_PATH_SUFFIX = b"finding"
os.mkdir(os.path.join(sys.argv[1], "disk"))
logger = utils.get_logger({}, "finding")
server = ObjectController({"devices": sys.argv[1], "mount_check": "false"}, logger=logger)


def put(content):
    headers = {
        "X-Timestamp": utils.Timestamp.now().internal,
        "Content-Type": "text/plain",
        "Content-Length": "1",
        "If-None-Match": "*",
    }
    environ = {"REQUEST_METHOD": "PUT", "wsgi.input": content}
    return Request.blank("/disk/1/account/container/object", environ, headers=headers).get_response(server).status_int


class Overlapped(io.BytesIO):
    """The content of a put in whose midst another one comes and ends."""

    other = None

    def read(self, *size):
        if self.other is None:
            self.other = put(io.BytesIO(b"2"))
        return super().read(*size)


content = Overlapped(b"1")
first = put(content)
kept = Request.blank("/disk/1/account/container/object").get_response(server).body.decode()
print(f"swift {version('swift')}: overlapping puts {first} and {content.other}, kept {kept}, later {put(io.BytesIO(b'3'))}")
PYTHON
mkdir "$scratch/devices"
seen=$("$scratch/venv/bin/python" -W ignore "$scratch/overlap.py" "$scratch/devices" 2>/dev/null)
echo "$seen"
grep -q "overlapping puts 201 and 201, kept 2, later 412" <<<"$seen" || {
    echo "changed: one alone of two overlapping puts with If-None-Match is answered with 201"
    exit 1
}
