#!/usr/bin/env bash
# Packages: boto3 1.44.5, s3transfer 0.19.3.
#
# Guess: `AWS_RESPONSE_CHECKSUM_VALIDATION=when_required`, which older stores need beside
# `AWS_REQUEST_CHECKSUM_CALCULATION=when_required`, leaves out the comparison of checksums and changes no request:
# `download_file` asks for the size (HEAD) and fetches an object below 8 MiB with a plain GET.
#
# Behaviour: with that value `download_file` asks for no size. It begins each download with a GET of
# `Range: bytes=0-8388607`, that of 7 bytes too. A store that refuses a range beyond the end, as nanio 0.1.7 does, then
# fails with every object below 8 MiB. `get_object` and larger objects work, and so does all of it without the setting.
#
# For a pipeline like this: MLflow's server fetches by `download_file`. A check that puts an object and gets it back
# passes; the registered model cannot be read, and MLflow answers 500, which looks like an outage. Ask for a range
# beyond the end in the check.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install -qq --disable-pip-version-check boto3==1.44.5 s3transfer==0.19.3
cat >"$scratch/small_object.py" <<'PYTHON'
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import s3transfer
from botocore.config import Config

asked = []


class Store(BaseHTTPRequestHandler):
    """Knows one object of 7 bytes."""

    def do_GET(self):
        asked.append(f"{self.command} {self.headers['Range']}")
        self.send_response(206 if self.headers["Range"] else 200)
        self.send_header("Content-Range", "bytes 0-6/7")
        self.send_header("Content-Length", "7")
        self.send_header("ETag", '"1"')
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(b"content")

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Store)
threading.Thread(target=server.serve_forever, daemon=True).start()
keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
print(f"boto3 {boto3.__version__}, s3transfer {s3transfer.__version__}, download_file of 7 bytes:")
for value in ("when_supported", "when_required"):
    config = Config(response_checksum_validation=value)
    client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{server.server_port}", config=config, **keys)
    client.download_file("bucket", "key", sys.argv[1])
    print(f"{value} asks {asked}")
    asked.clear()
PYTHON
seen=$(cd "$scratch" && env -u HTTP_PROXY -u http_proxy "$scratch/venv/bin/python" "$scratch/small_object.py" "$scratch/file")
echo "$seen"
if ! grep -q "when_supported asks \['HEAD None', 'GET None'\]" <<<"$seen" ||
    ! grep -q "when_required asks \['GET bytes=0-8388607'\]" <<<"$seen"; then
    echo "changed: the setting of checksums no longer changes how a small object is fetched"
    exit 1
fi
