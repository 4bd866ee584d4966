"""A stand-in for Kubeflow Pipelines: a real HTTP server that speaks the shapes of the API v2beta1 that are used.

Shapes come from the models of the published client, `kfp_server_api`, rules from the server's source (2.17). A
request that a real server would not understand is answered with an error, and noted in `violations`.
"""

import inspect
import json
import re
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import kfp_server_api
import yaml
from google.protobuf.json_format import ParseDict, ParseError
from kfp.pipeline_spec.pipeline_spec_pb2 import ParameterType, PipelineSpec, PlatformSpec

Document = dict[str, Any]
LISTING = {"page_token", "page_size", "sort_by", "filter"}
BY_SERVER = {
    "run_id", "recurring_run_id", "pipeline_version_id", "state", "status", "storage_state", "created_at",
    "updated_at", "scheduled_at", "finished_at", "run_details", "state_history", "error", "plugins_output",
}  # fmt: skip
KINDS: dict[str, tuple[type, ...]] = {
    "STRING": (str,),
    "NUMBER_INTEGER": (int, float),
    "NUMBER_DOUBLE": (int, float),
    "BOOLEAN": (bool,),
    "LIST": (list,),
    "STRUCT": (dict,),
}


PREDICATES: dict[int, Callable[[str, str], bool]] = {
    1: lambda value, wanted: value == wanted,
    2: lambda value, wanted: value != wanted,
    9: lambda value, wanted: wanted in value,
}


class RefusedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Kubeflow:
    """What the server holds; tests look here, and set what it is to do.

    Attributes:
        stall: Seconds that every answer but the health check's takes.
        token: Required of every request but the health check, where it is set.
        multi_user: Namespaces are required in this mode, and refused in the other.
        progress: What each look at a run shows next, the last one for ever: state, tasks and perhaps an error.
        requests: Method and path of what was asked.
        failures: Statuses to answer the next requests with, whatever they ask; 0 hangs up without an answer.
        failures_after_start: The same, once a run has been started.
        workflows: Argo's workflow of a run by the run's id, which the server keeps with it.
        pod_logs: What the UI reads from pods, by their names.
        archived_logs: What the API server reads from its archive, by the pods' names.
        has_ui: Whether the UI's pages are there too, and not the API server alone.
        violations: What a real server would not have understood.
    """

    def __init__(self) -> None:
        self.stall = 0.0
        self.token: str | None = None
        self.multi_user = False
        self.experiments: list[Document] = []
        self.pipelines: list[Document] = []
        self.versions: list[Document] = []
        self.runs: list[Document] = []
        self.recurring_runs: list[Document] = []
        self.progress: list[Document] = [{"state": "SUCCEEDED"}]
        self.requests: list[str] = []
        self.failures: list[int] = []
        self.failures_after_start: list[int] = []
        self.workflows: dict[str, Document] = {}
        self.pod_logs: dict[str, str] = {}
        self.archived_logs: dict[str, str] = {}
        self.has_ui = True
        self.violations: list[str] = []
        self._clock = datetime(2026, 11, 24, tzinfo=UTC)
        self.add_experiment("Default")

    def add_experiment(self, name: str, state: str = "AVAILABLE", namespace: str = "") -> Document:
        experiment = {"experiment_id": self._id(), "display_name": name, "storage_state": state}
        self.experiments.append(experiment | ({"namespace": namespace} if namespace else {}))
        return experiment

    def _id(self) -> str:
        return str(uuid.uuid4())

    def _now(self) -> str:
        self._clock += timedelta(seconds=1)
        return self._clock.strftime("%Y-%m-%dT%H:%M:%SZ")

    # What the API does, by method and path.

    def get_healthz(self) -> Document:
        return {"multi_user": True} if self.multi_user else {}

    def get_experiments(self, query: dict[str, str]) -> Document:
        self._check_namespace(query.get("namespace"))
        found = [
            experiment
            for experiment in self.experiments
            if experiment.get("namespace", "") == query.get("namespace", "")
        ]
        return {"experiments": _filtered(found, query)}

    def post_experiments(self, body: Document) -> Document:
        _check_shape(body, kfp_server_api.V2beta1Experiment)
        self._check_namespace(body.get("namespace"))
        if any(body["display_name"] == experiment["display_name"] for experiment in self.experiments):
            raise RefusedError(409, "AlreadyExistError: Create experiment failed")
        return self.add_experiment(body["display_name"], namespace=body.get("namespace", ""))

    def get_pipelines(self, query: dict[str, str]) -> Document:
        return {"pipelines": _filtered(self.pipelines, query)}

    def post_pipelines(self, body: Document) -> Document:
        _check_shape(body, kfp_server_api.V2beta1Pipeline)
        self._check_namespace(body.get("namespace"))
        pipeline = {**body, "pipeline_id": self._id(), "created_at": self._now()}
        self.pipelines.append(pipeline)
        return pipeline

    def get_versions(self, pipeline_id: str, query: dict[str, str]) -> Document:
        found = [version for version in self.versions if version["pipeline_id"] == pipeline_id]
        return {"pipeline_versions": _filtered(found, query)}

    def upload_version(self, query: dict[str, str], content: bytes) -> Document:
        documents = list(yaml.safe_load_all(content))
        _check_spec(*documents)
        if query["pipelineid"] not in {pipeline["pipeline_id"] for pipeline in self.pipelines}:
            raise RefusedError(400, "Failed to create a pipeline version")
        for version in self.versions:
            if (version["pipeline_id"], version["name"]) == (query["pipelineid"], query["name"]):
                raise RefusedError(409, "Failed to create a pipeline version")
        version = {
            "pipeline_id": query["pipelineid"],
            "pipeline_version_id": self._id(),
            "name": query["name"],
            "display_name": query["name"],
            "description": query.get("description", ""),
            "created_at": self._now(),
            "pipeline_spec": {"pipeline_spec": documents[0], "platform_spec": documents[1]},
        }
        self.versions.append(version)
        return version

    def post_runs(self, body: Document) -> Document:
        _check_shape(body, kfp_server_api.V2beta1Run)
        self._check_experiment(body)
        spec = body.get("pipeline_spec") or self._latest_spec(body)
        _check_spec(spec["pipeline_spec"], spec["platform_spec"])
        _check_parameters(body, spec["pipeline_spec"])
        run = {**body, "run_id": self._id(), "created_at": self._now(), "state": "PENDING"}
        self.runs.append(run)
        self.failures += self.failures_after_start
        return run

    def get_runs(self, query: dict[str, str]) -> Document:
        return {"runs": _filtered(self.runs, query)}

    def get_run(self, run_id: str) -> Document:
        run = _one(self.runs, "run_id", run_id)
        seen = self.progress.pop(0) if len(self.progress) > 1 else self.progress[0]
        tasks = [
            {
                "run_id": run_id,
                "task_id": str(uuid.uuid5(uuid.NAMESPACE_OID, task["display_name"] + task["start_time"])),
                "create_time": run["created_at"],  # the run's, for every task
                **task,
            }
            for task in seen.get("tasks", [])
        ]
        details: Document = {"run_details": {"task_details": tasks}} if tasks else {}
        return run | {key: value for key, value in seen.items() if key != "tasks"} | details

    def get_run_v1(self, run_id: str) -> Document:
        run = _one(self.runs, "run_id", run_id)
        manifest = json.dumps(self.workflows[run_id]) if run_id in self.workflows else ""
        return {
            "run": {"id": run_id, "name": run["display_name"]},
            "pipeline_runtime": {"workflow_manifest": manifest},
        }

    def terminate_run(self, run_id: str) -> Document:
        run = _one(self.runs, "run_id", run_id)
        if run["state"] not in {"PENDING", "RUNNING", "PAUSED"}:
            raise RefusedError(400, f"Failed to terminate a run {run_id}. Row not found")
        run["state"] = "CANCELED"
        self.progress = [{"state": "CANCELING"}, {"state": "CANCELED"}]
        return {}

    def retry_run(self, run_id: str) -> Document:
        run = _one(self.runs, "run_id", run_id)
        if run["state"] not in {"FAILED", "CANCELED"}:
            raise RefusedError(400, "Workflow must be Failed/Error to retry")
        run["state"] = "RUNNING"
        return {}

    def get_pod_log(self, query: dict[str, str]) -> str:
        """The UI's page, which is not of the API."""
        if not self.has_ui:
            raise RefusedError(404, "404 page not found")
        if bool(query.get("podnamespace")) != self.multi_user:
            raise RefusedError(422, "podnamespace argument is required")
        if query["podname"] not in self.pod_logs:
            raise RefusedError(500, "Could not get main container logs: Error: pod not found")
        return self.pod_logs[query["podname"]]

    def get_run_log(self, run_id: str, pod: str) -> str:
        """The API server's own, which has sent status 200 before it looks for the log."""
        _one(self.runs, "run_id", run_id)
        error = {
            "error_message": f"BadRequestError: Failed to read logs for run {run_id}",
            "error_details": "at",
        }
        return self.archived_logs.get(pod) or json.dumps(error)

    def get_recurring_runs(self, query: dict[str, str]) -> Document:
        self._check_namespace(query.get("namespace"))
        return {"recurringRuns": _filtered(self.recurring_runs, query)}

    def post_recurring_runs(self, body: Document) -> Document:
        _check_shape(body, kfp_server_api.V2beta1RecurringRun)
        self._check_experiment(body)
        if not 1 <= int(body.get("max_concurrency", 0)) <= 10:
            raise RefusedError(400, "Max concurrency of a recurring run must be at least 1 and at most 10.")
        cron = body["trigger"]["cron_schedule"]["cron"]
        if len(cron.split()) != 6:
            raise RefusedError(400, f"Schedule cron is not a supported format. Error: {cron}")
        if body.get("mode") not in {"ENABLE", "DISABLE"}:
            raise RefusedError(400, "mode")
        _check_parameters(body, self._latest_spec(body)["pipeline_spec"])
        # Numbers come back as doubles.
        recurring: Document = json.loads(json.dumps(body), parse_int=float) | {
            "max_concurrency": str(body["max_concurrency"]),
            "recurring_run_id": self._id(),
            "status": f"{body['mode']}D",
            "created_at": self._now(),
        }
        self.recurring_runs.append(recurring)
        return recurring

    def delete_recurring_run(self, recurring_run_id: str) -> Document:
        """Kubernetes deletes the runs' workflows too, and what runs is stopped."""
        for run in self.runs:
            if run.get("recurring_run_id") == recurring_run_id and run["state"] == "RUNNING":
                self.violations.append(f"a run of {recurring_run_id} was stopped")
        self.recurring_runs.remove(_one(self.recurring_runs, "recurring_run_id", recurring_run_id))
        return {}

    def enable_recurring_run(self, recurring_run_id: str) -> Document:
        _one(self.recurring_runs, "recurring_run_id", recurring_run_id)["status"] = "ENABLED"
        return {}

    def disable_recurring_run(self, recurring_run_id: str) -> Document:
        _one(self.recurring_runs, "recurring_run_id", recurring_run_id)["status"] = "DISABLED"
        return {}

    # The server's rules.

    def _check_namespace(self, namespace: str | None) -> None:
        if bool(namespace) != self.multi_user:
            raise RefusedError(
                400, f"InvalidInputError: namespace {namespace!r}, multi user {self.multi_user}"
            )

    def _check_experiment(self, body: Document) -> None:
        experiment = _one(self.experiments, "experiment_id", body["experiment_id"])
        if experiment["storage_state"] == "ARCHIVED":
            raise RefusedError(400, f"experiment {experiment['display_name']} is archived")

    def _latest_spec(self, body: Document) -> Document:
        reference = body["pipeline_version_reference"]
        versions = [v for v in self.versions if v["pipeline_id"] == reference["pipeline_id"]]
        if not versions:
            raise RefusedError(404, "No pipeline versions found")
        spec: Document = versions[-1]["pipeline_spec"]
        return spec


def _one(found: list[Document], key: str, value: str) -> Document:
    for document in found:
        if document[key] == value:
            return document
    raise RefusedError(404, f"ResourceNotFoundError: {key} {value} not found")


def _filtered(found: list[Document], query: dict[str, str]) -> list[Document]:
    if unknown := query.keys() - LISTING - {"namespace", "experiment_id"}:
        raise RefusedError(400, f"unknown query {unknown}")
    for predicate in json.loads(query["filter"])["predicates"] if query.get("filter") else ():
        if (
            predicate.keys() != {"operation", "key", "stringValue"}
            or predicate["operation"] not in PREDICATES
        ):
            raise RefusedError(400, f"unknown predicate {predicate}")
        holds = PREDICATES[predicate["operation"]]
        found = [entry for entry in found if holds(entry.get(predicate["key"], ""), predicate["stringValue"])]
    if query.get("sort_by") == "created_at desc":
        found = found[::-1]
    elif query.get("sort_by"):
        raise RefusedError(400, f"unknown order {query['sort_by']}")
    return found[: int(query.get("page_size") or 10) or 20]


def _check_shape(value: Any, model: Any, path: str = "") -> None:
    """Check a body against a model of the client: known names, right types, nothing that only the server sets."""
    names = {json_name: name for name, json_name in model.attribute_map.items()}
    for key, content in value.items():
        where = f"{path}.{key}"
        if key not in names or (not path and key in BY_SERVER):
            raise RefusedError(400, f'unknown field "{where}"')
        declared = model.openapi_types[names[key]]
        if declared in {"str", "bool"}:
            if not isinstance(content, {"str": str, "bool": bool}[declared]):
                raise RefusedError(400, f"{where} must be {declared} but is {content!r}")
        elif hasattr(kfp_server_api, declared):
            nested = getattr(kfp_server_api, declared)
            if nested.openapi_types:
                _check_shape(content, nested, where)
            elif content not in nested.allowable_values:
                raise RefusedError(
                    400, f"{where} must be one of {nested.allowable_values} but is {content!r}"
                )


def _check_spec(pipeline: Document, platform: Document) -> None:
    try:
        ParseDict(pipeline, PipelineSpec())
        ParseDict(platform, PlatformSpec())
    except ParseError as error:
        raise RefusedError(400, f"invalid v2 pipeline spec: {error}") from error


def _check_parameters(body: Document, spec: Document) -> None:
    known = ParseDict(spec, PipelineSpec()).root.input_definitions.parameters
    given = body.get("runtime_config", {}).get("parameters", {})
    if extra := sorted(given.keys() - known.keys()):
        raise RefusedError(400, f"parameter(s) provided are not required by pipeline: {', '.join(extra)}")
    for name, value in given.items():
        kind = ParameterType.ParameterTypeEnum.Name(known[name].parameter_type)
        if not isinstance(value, KINDS[kind]) or (isinstance(value, bool) and kind != "BOOLEAN"):
            raise RefusedError(400, f"input parameter {name} requires type {kind}")
        literals = [literal.string_value for literal in known[name].literals]
        if literals and value not in literals:
            raise RefusedError(400, f"input parameter {name} is not one of {literals}")


ROUTES: list[tuple[str, str, Callable[..., Document | str]]] = [
    ("GET", r"healthz", Kubeflow.get_healthz),
    ("GET", r"experiments", Kubeflow.get_experiments),
    ("POST", r"experiments", Kubeflow.post_experiments),
    ("GET", r"pipelines", Kubeflow.get_pipelines),
    ("POST", r"pipelines", Kubeflow.post_pipelines),
    ("POST", r"pipelines/upload_version", Kubeflow.upload_version),
    ("GET", r"pipelines/([^/:]+)/versions", Kubeflow.get_versions),
    ("POST", r"runs", Kubeflow.post_runs),
    ("GET", r"runs", Kubeflow.get_runs),
    ("GET", r"runs/([^/:]+)", Kubeflow.get_run),
    ("POST", r"runs/([^/:]+):terminate", Kubeflow.terminate_run),
    ("POST", r"runs/([^/:]+):retry", Kubeflow.retry_run),
    ("GET", r"/apis/v1beta1/runs/([^/:]+)", Kubeflow.get_run_v1),
    ("GET", r"/apis/v1alpha1/runs/([^/:]+)/nodes/([^/:]+)/log", Kubeflow.get_run_log),
    ("GET", r"/k8s/pod/logs", Kubeflow.get_pod_log),
    ("GET", r"recurringruns", Kubeflow.get_recurring_runs),
    ("POST", r"recurringruns", Kubeflow.post_recurring_runs),
    ("DELETE", r"recurringruns/([^/:]+)", Kubeflow.delete_recurring_run),
    ("POST", r"recurringruns/([^/:]+):enable", Kubeflow.enable_recurring_run),
    ("POST", r"recurringruns/([^/:]+):disable", Kubeflow.disable_recurring_run),
]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    kubeflow: Kubeflow

    def handle_any(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer: Document | str
        try:
            status, answer = 200, self.answer(content)
        except RefusedError as refused:
            status, answer = refused.status, {"code": 3, "message": str(refused)}
            if not status:
                self.close_connection = True
                return
        except Exception as error:
            self.kubeflow.violations.append(f"{self.command} {self.path}: {error!r}")
            status, answer = 500, {"message": repr(error)}
        kind = "text/plain" if isinstance(answer, str) else "application/json"
        if not isinstance(answer, str):
            # protojson leaves out what is empty.
            answer = json.dumps({key: value for key, value in answer.items() if value})
        encoded = answer.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    do_GET = do_POST = do_DELETE = do_PATCH = do_PUT = handle_any  # noqa: N815

    def answer(self, content: bytes) -> Document | str:
        url = urlsplit(self.path)
        self.kubeflow.requests.append(f"{self.command} {url.path}")
        path, query = url.path.removeprefix("/apis/v2beta1/"), dict(parse_qsl(url.query))
        if path != "healthz":
            self.admit()
        for method, pattern, act in ROUTES:
            found = re.fullmatch(pattern, path)
            if method == self.command and found:
                return act(self.kubeflow, *map(unquote, found.groups()), **self.inputs(act, query, content))
        raise ValueError("no such method in the API")

    def admit(self) -> None:
        time.sleep(self.kubeflow.stall)
        if self.kubeflow.failures:
            raise RefusedError(self.kubeflow.failures.pop(0), "as the test wants it")
        if self.kubeflow.token and self.headers.get("Authorization") != f"Bearer {self.kubeflow.token}":
            raise RefusedError(401, "Unauthenticated: the token has expired\nat server.go:1")

    def inputs(self, act: Callable[..., Document | str], query: dict[str, str], content: bytes) -> Document:
        """Return the query, the body or the file, whichever the method takes; no other must be there."""
        given: Document = {"query": query} if query else {}
        if self.headers.get_content_type() == "multipart/form-data":
            given["content"] = self.uploaded(content)
        elif content:
            given["body"] = json.loads(content)
        taken = inspect.signature(act).parameters
        return ({"query": {}} if "query" in taken else {}) | given

    def uploaded(self, content: bytes) -> bytes:
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        (part,) = BytesParser(policy=HTTP).parsebytes(head + content).iter_parts()
        if part.get_param("name", header="content-disposition") != "uploadfile":
            raise ValueError(part["Content-Disposition"])
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        return payload

    def log_message(self, *_: object) -> None:
        pass


class QuietServer(ThreadingHTTPServer):
    """Keeps its stderr clean when a client hangs up on a certificate that it does not trust."""

    def handle_error(self, request: object, client_address: object) -> None:
        del request, client_address


@contextmanager
def serving(
    kubeflow: Kubeflow, certificate: Path | None = None, kind: type[Handler] = Handler
) -> Iterator[str]:
    """Serve `kubeflow` on a free port of the loopback interface, with TLS if need be, and yield its address."""
    handler = type("Handler", (kind,), {"kubeflow": kubeflow})
    server = QuietServer(("127.0.0.1", 0), handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http{'s' if certificate else ''}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
