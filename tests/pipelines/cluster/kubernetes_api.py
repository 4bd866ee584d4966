"""A stand-in for a cluster's API server, which takes services of KServe from the real kubectl."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

GROUP, VERSION, KIND = "serving.kserve.io", "v1beta1", "InferenceService"
API = f"{GROUP}/{VERSION}"
# What kubectl asks before it applies: which resources there are, and whether the server validates fields.
DOCUMENTS: dict[str, dict[str, Any]] = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": []},
    "/apis": {
        "kind": "APIGroupList",
        "groups": [
            {
                "name": GROUP,
                "versions": [{"groupVersion": API, "version": VERSION}],
                "preferredVersion": {"groupVersion": API, "version": VERSION},
            }
        ],
    },
    f"/apis/{API}": {
        "kind": "APIResourceList",
        "groupVersion": API,
        "resources": [
            {
                "name": "inferenceservices",
                "singularName": "inferenceservice",
                "namespaced": True,
                "kind": KIND,
                "verbs": ["get", "patch", "create"],
            }
        ],
    },
    "/openapi/v3": {"paths": {f"apis/{API}": {"serverRelativeURL": f"/openapi/v3/apis/{API}"}}},
    f"/openapi/v3/apis/{API}": {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.36"},
        "paths": {
            f"/apis/{API}/namespaces/{{namespace}}/inferenceservices/{{name}}": {
                "patch": {
                    "parameters": [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}],
                    "responses": {},
                    "x-kubernetes-group-version-kind": {"group": GROUP, "version": VERSION, "kind": KIND},
                }
            }
        },
    },
}
NOT_FOUND = {"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "message": "not found"}


@contextmanager
def kubernetes_api(config: Path) -> Iterator[dict[str, Any]]:
    """Write kubectl's configuration for the server, and yield what was applied last, by path."""
    applied: dict[str, Any] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document = DOCUMENTS.get(self.path.partition("?")[0])
            self._answer(200 if document else 404, document or NOT_FOUND)

        def do_PATCH(self) -> None:
            path, _, query = self.path.partition("?")
            document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert self.headers["Content-Type"] == "application/apply-patch+yaml"
            assert {"fieldManager=mnist-pipeline", "fieldValidation=Strict"} <= set(query.split("&"))
            applied[path] = document
            metadata = {**document["metadata"], "uid": "1", "resourceVersion": "1"}
            self._answer(200, {**document, "metadata": metadata})

        def _answer(self, status: int, document: dict[str, Any]) -> None:
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        config.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "made",
                    "contexts": [{"name": "made", "context": {"cluster": "made", "user": ""}}],
                    "clusters": [{"name": "made", "cluster": {"server": address}}],
                }
            )
        )
        yield applied
        server.shutdown()
