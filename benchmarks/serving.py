"""`mnist-pipeline serve`, also with a log of requests, and MLflow's scoring server, asked by eight clients at once."""

import http.client
import json
import re
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.process import REPOSITORY, call
from benchmarks.setting import Floor, Result, Results, Setting
from components.common.storage.s3 import DEFAULT_BUCKET
from pipelines.local.store_of import store_of

OURS, MLFLOW = "mnist-pipeline serve", "MLflow's scoring server"
LOGGING = f"{OURS} --log-requests"
# A tenth is kept, as by default.
LOG = f"s3://{DEFAULT_BUCKET}/requests"
MLFLOW_FORM = "mlflow"
CLIENTS = 8
# A round is longer than from one write of the log to the next.
ROUNDS, ROUND_SECONDS = 3, 35.0
QUICK_ROUNDS, QUICK_ROUND_SECONDS = 1, 0.5
START_SECONDS = 120.0
TIMES_FASTER = 3.0
SHARE_OF_MEMORY = 1 / 3


def measure(setting: Setting, _: Results) -> Result:
    rounds, seconds = (QUICK_ROUNDS, QUICK_ROUND_SECONDS) if setting.quick else (ROUNDS, ROUND_SECONDS)
    model = str(setting.work / "model")
    training = {"epochs": 0.1, "min_steps": 0}
    call("benchmarks.training:train_once", str(setting.development), "fast", training, model)
    call("benchmarks.serving:package_for_both", model, str(setting.development))
    found: dict[str, list[dict[str, Any]]] = {OURS: [], LOGGING: [], MLFLOW: []}
    with store_of([LOG], setting.work / "home"):
        for number in range(rounds):
            # In turns, since what runs first finds the machine cooler.
            for name in list(found) if number % 2 else reversed(found):
                found[name].append(_measured(name, model, str(setting.test), seconds))
    rows = [
        [
            name,
            f"{_median(own, 'rate'):.0f}",
            f"{min(_values(own, 'rate')):.0f} to {max(_values(own, 'rate')):.0f}",
            f"{_median(own, 'median') * 1e3:.1f}",
            f"{_median(own, 'slow') * 1e3:.1f}",
            f"{_median(own, 'bytes') / 1e6:.0f}",
            f"{_median(own, 'start'):.1f}",
            f"{sum(_values(own, 'dropped')):.0f}" if name == LOGGING else "",
        ]
        for name, own in found.items()
    ]
    pairs = list(zip(found[OURS], found[MLFLOW], strict=True))
    faster = statistics.median(ours["rate"] / theirs["rate"] for ours, theirs in pairs)
    share = statistics.median(ours["bytes"] / theirs["bytes"] for ours, theirs in pairs)
    return Result(
        "Serving",
        f"One image a request as JSON from {CLIENTS} clients at once, threads of one process on the same "
        f"machine, for {seconds:g} s after a second of the same; {rounds} rounds with all servers in each, medians. "
        "The model is one of recipe fast, exported and packaged as a run does it. Memory is the resident peak of the "
        "server's process; start is from its spawn to the first answer. Dropped: images of the log's sample, a tenth "
        "of all, that found no room.",
        ["server", "requests/s", "range", "median ms", "99% within ms", "MB", "start s", "dropped"],
        rows,
        [
            Floor("serving, times the requests a second of MLflow's server", faster, TIMES_FASTER),
            Floor("serving, memory as a share of MLflow's server", share, SHARE_OF_MEMORY, at_least=False),
        ],
        found,
    )


def _values(found: list[dict[str, Any]], name: str) -> list[float]:
    return [each[name] for each in found]


def _median(found: list[dict[str, Any]], name: str) -> float:
    return statistics.median(_values(found, name))


def _measured(name: str, model: str, test: str, seconds: float) -> dict[str, Any]:
    from pipelines.local.process import free_port

    port = free_port()
    own = ["-m", "pipelines.cli.main", "serve", "--directory", model, "--port", str(port)]
    function = "benchmarks.serving:serve_by_mlflow"
    commands = {
        OURS: own,
        LOGGING: [*own, "--log-requests", LOG],
        MLFLOW: ["-m", "benchmarks.process", function, json.dumps([model, port])],
    }
    with running_server([sys.executable, "-W", "ignore", *commands[name]], port) as (process, start):
        value = call("benchmarks.serving:ask", port, test, seconds).value
        dropped = _dropped(port) if name == LOGGING else 0
        return {**value, "start": start, "bytes": _peak_bytes(process.pid), "dropped": dropped}


@contextmanager
def running_server(command: list[str], port: int) -> Iterator[tuple[subprocess.Popen[bytes], float]]:
    """Yield a server's process once it answers, and the seconds until then."""
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not _answers(port):
            if process.poll() is not None or time.perf_counter() - started > START_SECONDS:
                raise RuntimeError(f"{' '.join(command)} must answer but does not")
            time.sleep(0.02)
        yield process, time.perf_counter() - started
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False


def _peak_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def _dropped(port: int) -> int:
    """Return the images that a server's log had no room for."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        (count,) = re.findall(r'logged_images_total{outcome="dropped"} (\d+)', answer.read().decode())
    return int(count)


def ask(port: int, test: str, seconds: float) -> dict[str, float]:
    """Ask from `CLIENTS` threads; return requests a second, and median and 99th percentile of their seconds."""
    from components.common.data.dataset import open_split

    image = open_split(Path(test), "test").images[:1]
    body = json.dumps({"inputs": image.tolist()}).encode()
    _ask_until(port, body, time.perf_counter() + 1)
    started = time.perf_counter()
    times = sorted(_ask_until(port, body, started + seconds))
    rate = len(times) / (time.perf_counter() - started)
    return {"rate": rate, "median": statistics.median(times), "slow": times[len(times) * 99 // 100]}


def _ask_until(port: int, body: bytes, end: float) -> list[float]:
    times: list[float] = []

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while (started := time.perf_counter()) < end:
            connection.request("POST", "/invocations", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"the server must answer but says {content!r}")
            times.append(time.perf_counter() - started)

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if not times:
        raise RuntimeError("the server must answer but did not answer any request")
    return times


def package_for_both(model: str, development: str) -> None:
    """Write the ONNX file beside a trained model, and MLflow's form of the model below it."""
    from types import SimpleNamespace

    from components.common.data.dataset import open_split
    from components.common.model.classifier import Classifier
    from components.evaluate.exchange import write_exchange
    from components.register.package import package

    candidate = Path(model)
    logged: Any = SimpleNamespace(artifact_location="file:///model", model_id="m-1")
    write_exchange(candidate, Classifier(candidate), open_split(Path(development), "validation").images)
    package(candidate, candidate / MLFLOW_FORM, logged, "run")


def serve_by_mlflow(model: str, port: int) -> None:
    """Serve MLflow's form of a model as `mlflow models serve` does in its process."""
    import mlflow
    import uvicorn
    from mlflow.pyfunc import scoring_server

    served = mlflow.pyfunc.load_model(str(Path(model, MLFLOW_FORM)))
    uvicorn.run(scoring_server.init(served), port=port, log_level="warning")
