"""Exits 0 when MLflow answers an API request that is addressed as its clients address theirs.

MLflow's /health stays green while it refuses every client's Host header.
"""

import os
import sys
import urllib.request


def main() -> int:
    port = os.environ.get("MLFLOW_PORT", "5000")
    host = os.environ.get("MLFLOW_SERVER_ALLOWED_HOSTS", "").split(",")[0].strip()
    if not host or "*" in host:
        host = f"localhost:{port}"
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/search?max_results=1", headers={"Host": host}
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=8):
            return 0
    except OSError as error:
        print(f"MLflow does not answer requests for {host}: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
