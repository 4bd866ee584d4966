#!/usr/bin/env bash
# Package: mlflow 3.17.2 (mlflow-skinny is enough) with boto3 1.44.5.
#
# Guess: MLflow uses an S3 client for five minutes and then makes a new one, so that new credentials count. The old one
# has no user any more, so its connection to the store is closed: a server has the connections of one client.
#
# Behaviour: the five-minute slot is one of the arguments of a function with a cache of 64 results. Each slot in which
# the store was asked adds a client, and no old one leaves before 64 newer ones have come, which takes more than five
# hours. All of them keep their connections open, as the store does.
#
# For a pipeline like this: an MLflow server that hands artifacts out holds up to 640 sockets, ten for each client, and
# the store as many more. In monitoring it looks like a leak of descriptors, and with a limit of 1,024 it leaves little
# room. A server of one's own can make the cache smaller before it serves.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install -qq --disable-pip-version-check mlflow-skinny==3.17.2 boto3==1.44.5
cat >"$scratch/clients.py" <<'PYTHON'
import http.server
import os
import threading

import mlflow
from mlflow.store.artifact import s3_artifact_repo
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

LISTING = b'<?xml version="1.0"?><ListBucketResult><Name>bucket</Name><IsTruncated>false</IsTruncated></ListBucketResult>'
connections = set()


class Store(http.server.BaseHTTPRequestHandler):
    """An object store with an empty bucket, which keeps connections open as stores do."""

    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        connections.add(self.client_address)

    def finish(self):
        connections.discard(self.client_address)
        super().finish()

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(LISTING)))
        self.end_headers()
        self.wfile.write(LISTING)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("localhost", 0), Store)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["MLFLOW_S3_ENDPOINT_URL"] = f"http://localhost:{server.server_port}"
for slot in range(1, 13):
    # MLflow's clock for the slot, so that nobody waits an hour.
    s3_artifact_repo._get_utcnow_timestamp = lambda: slot * 300
    for _ in range(3):
        get_artifact_repository("s3://bucket/artifacts").list_artifacts()
    if slot in (1, 2, 12):
        print(f"mlflow {mlflow.__version__}: after {slot} slots of 5 minutes {len(connections)} open connections")
PYTHON
cd "$scratch"
seen=$(AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any AWS_DEFAULT_REGION=us-east-1 \
    "$scratch/venv/bin/python" "$scratch/clients.py" 2>/dev/null)
echo "$seen"
if ! grep -q "after 12 slots of 5 minutes 12 open connections" <<<"$seen"; then
    echo "changed: old clients no longer keep their connections"
    exit 1
fi
