"""`python -m benchmarks.gpu_check`: trainings and answers on this machine's GPUs, in under 8 minutes."""

import argparse
import json
import math
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.prepare import prepare
from benchmarks.process import REPOSITORY, Call, call
from components.common.provenance import git_sha, processor_name
from components.common.settings import environment

BATCHES = (1, 32, 256, 1024)
IMAGES, QUICK_IMAGES = 2**18, 2**10
# Little work, on the digits.
QUICK = {"epochs": 2, "min_steps": 0, "batch_size": 64}
# Enough steps to be killed between two checkpoints.
KILLED, QUICK_KILLED = {"epochs": 6}, {**QUICK, "epochs": 40}
POLL_SECONDS = 0.005
TRAINED = "benchmarks.gpu_check:trained_weights"
Row = tuple[str, str]


@dataclass(frozen=True)
class Check:
    """Input of a part.

    Attributes:
        work: Directory for what the part writes.
        development: Prepared data with the splits train and validation.
        test: Prepared data with the split test.
        quick: A check that all of it works.
        deadline: End of the part, by `time.monotonic`.
    """

    work: Path
    development: Path
    test: Path
    quick: bool
    deadline: float = math.inf

    def ask(self, function: str, *arguments: Any) -> Call:
        """Call "module:name" in a fresh process.

        Raises:
            RuntimeError: It failed, or did not end by the deadline.
        """
        return call(function, *arguments, limit=self.deadline - time.monotonic())


def _recipe(check: Check, name: str) -> Iterator[Row]:
    """Train a recipe from spawn to exit, then score its model on the test split."""
    model = str(check.work / "model")
    changes = QUICK if check.quick else {}
    trained = check.ask("benchmarks.training:train_once", str(check.development), name, changes, model)
    yield "whole process", f"{trained.seconds:.1f} s"
    yield "training", f"{trained.value['seconds']:.1f} s"
    scores = check.ask("benchmarks.training:test_accuracies", str(check.test), [model]).value
    yield "test accuracy", f"{scores['each'][0]:.4f}"


def _precision_and_compiler(check: Check) -> Iterator[Row]:
    images = QUICK_IMAGES if check.quick else IMAGES
    for precision in ("float32", "bfloat16"):
        changes = {"precision": precision, **({"batch_size": 64} if check.quick else {})}
        for xla in (False, True):
            arguments = (str(check.development), changes, xla, images)
            speed = check.ask("benchmarks.gpu_check:compiled_speed", *arguments).value
            yield f"{precision}, XLA {'on' if xla else 'off'}", f"{speed:.0f} images/s"


def compiled_speed(development: str, changes: dict[str, Any], xla: bool, images: int) -> float:
    """Train recipe `fast` with or without XLA on so many images, after the first steps have compiled everything."""
    import tensorflow as tf

    session = _session(development, changes)
    loop = session._loop
    loop._compiled_gradients = tf.function(loop._gradients, autograph=False, jit_compile=xla)
    return _speed(session, images)


def _session(development: str, changes: dict[str, Any]) -> Any:
    from components.common.data.dataset import open_split
    from components.common.plan.training import RECIPES
    from components.train.session import Session

    # Long enough a schedule for the first steps and all that is measured.
    config = RECIPES["fast"].differing(epochs=1000, **changes)
    train, validation = (open_split(Path(development), name) for name in ("train", "validation"))
    return Session(train, validation, config)


def _speed(session: Any, images: int) -> float:
    session.run_until(10)
    batch: int = session._config.batch_size
    started = time.perf_counter()
    session.run_until(10 + images // batch)
    return images // batch * batch / (time.perf_counter() - started)


def _mirrored(check: Check) -> Iterator[Row]:
    images = QUICK_IMAGES if check.quick else IMAGES
    found = check.ask("benchmarks.gpu_check:mirrored_speed", str(check.development), images).value
    yield found["devices"], f"{found['speed']:.0f} images/s"
    yield "validation accuracy after these images", f"{found['accuracy']:.4f}"


def mirrored_speed(development: str, images: int) -> dict[str, Any]:
    """Train recipe `fast` by MirroredStrategy: on all GPUs, or on two logical devices where there is one or none."""
    import tensorflow as tf

    from components.train import session

    physical = tf.config.list_physical_devices("GPU") or tf.config.list_physical_devices("CPU")[:1]
    kind, count = physical[0].device_type, max(2, len(physical))
    label = f"{count} {kind}s"
    if len(physical) == 1:
        memory = {"memory_limit": 8192} if kind == "GPU" else {}
        logical = [tf.config.LogicalDeviceConfiguration(**memory)] * count
        tf.config.set_logical_device_configuration(physical[0], logical)
        label = f"{count} logical devices of one {kind}"
    devices = [f"{kind}:{number}" for number in range(count)]
    vars(session)["strategy"] = lambda: tf.distribute.MirroredStrategy(devices)
    training = _session(development, {"batch_size": 64 * count})
    speed = _speed(training, images)
    return {"devices": label, "speed": speed, "accuracy": training.score().val_accuracy}


def _reproducible(check: Check) -> Iterator[Row]:
    """Train twice, and a third time with a kill -9 and a resumption on the way; the weights must be the same."""
    first, second = (check.ask(TRAINED, *_training(check, name)).value for name in ("first", "second"))
    if first != second:
        raise RuntimeError(f"two trainings gave the weights {first[:12]} and {second[:12]}")
    yield "two trainings", f"the same weights, {first[:12]}"
    step = _killed(check)
    resumed = check.ask(TRAINED, *_training(check, "killed")).value
    if resumed != first:
        raise RuntimeError(f"a training resumed at step {step} gave other weights, {resumed[:12]}")
    yield f"killed by SIGKILL, resumed at step {step}", "the same weights"


def _training(check: Check, name: str) -> tuple[Any, ...]:
    changes = QUICK_KILLED if check.quick else KILLED
    place = check.work / name
    return str(check.development), changes, str(place / "model"), str(place / "checkpoints")


def _killed(check: Check) -> int:
    """Kill a training as soon as it has saved a checkpoint; return the step of the checkpoint."""
    arguments = json.dumps(_training(check, "killed"))
    checkpoints = check.work / "killed" / "checkpoints"
    training = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.process", TRAINED, arguments],
        cwd=REPOSITORY,
        env=environment({"CHECKPOINT_SECONDS": "0"}),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not (saved := list(checkpoints.glob("*.npz"))):
            if training.poll() is not None or time.monotonic() > check.deadline:
                raise RuntimeError("the training that is to be killed saved no checkpoint")
            time.sleep(POLL_SECONDS)
    finally:
        training.kill()
        ended = training.wait()
    if not ended:
        raise RuntimeError("the training ended before it could be killed")
    with np.load(saved[0], allow_pickle=False) as state:
        progress = list(state.values())[-1]
    return int(json.loads(str(progress))["step"])


def trained_weights(development: str, changes: dict[str, Any], target: str, checkpoints: str) -> str:
    """Train recipe `fast`, and return the digest of the weights."""
    from components.common.plan.training import RECIPES
    from components.train.fit import fit_model

    training = fit_model(
        Path(development),
        RECIPES["fast"].differing(**changes),
        recipe="fast",
        target=Path(target),
        on_epoch=lambda _: None,
        checkpoints=checkpoints,
    )
    return training.weights_digest


def _inference(check: Check) -> Iterator[Row]:
    speeds = check.ask("benchmarks.gpu_check:answers_per_second", 0.1 if check.quick else 1.0).value
    for batch, speed in speeds.items():
        yield f"batch {batch}", f"{speed:.0f} images/s"


def answers_per_second(seconds: float) -> dict[str, float]:
    """Ask a compiled model of recipe `fast`, with weights that were not trained, for that long at each batch size."""
    from components.common.data.spec import MNIST_SPEC
    from components.common.model.served_model import ServedModel
    from components.common.plan.training import RECIPES
    from components.train.model import build_model

    model = ServedModel(build_model(RECIPES["fast"], MNIST_SPEC))
    # A larger batch would be asked in parts.
    model.batch_size = max(BATCHES)
    speeds = {}
    for batch in BATCHES:
        images = np.zeros((batch, *MNIST_SPEC.shape), np.uint8)
        model.predict(images)
        calls, started = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - started) < seconds:
            model.predict(images)
            calls += 1
        speeds[str(batch)] = calls * batch / elapsed
    return speeds


def accelerators() -> dict[str, Any]:
    """Name the GPUs that TensorFlow sees, and TensorFlow."""
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    build = tf.sysconfig.get_build_info()
    cuda = f", CUDA {build['cuda_version']}, cuDNN {build['cudnn_version']}" if gpus else ""
    return {
        "gpus": [
            f"{about.get('device_name', 'unknown')} (compute capability "
            f"{'.'.join(map(str, about.get('compute_capability', ('unknown',))))})"
            for about in details
        ],
        "versions": f"TensorFlow {tf.__version__}{cuda}",
    }


# Each with its seconds; they and those of the preparation are less than 8 minutes together.
PREPARATION = 25
PARTS: dict[str, tuple[Callable[[Check], Iterator[Row]], int]] = {
    "recipe fast": (lambda check: _recipe(check, "fast"), 40),
    "precision and XLA": (_precision_and_compiler, 90),
    "MirroredStrategy": (_mirrored, 35),
    "reproducibility": (_reproducible, 90),
    "inference": (_inference, 25),
    "recipe best": (lambda check: _recipe(check, "best"), 65),
    "recipe seed": (lambda check: _recipe(check, "seed"), 80),
}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_check", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="check that all of it works, with or without a GPU"
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", default=list(PARTS))
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/benchmarks-gpu.md"))
    options = parser.parse_args(arguments)
    about = call("benchmarks.gpu_check:accelerators", limit=PREPARATION).value
    if not about["gpus"] and not options.quick:
        print(
            "error: TensorFlow must see a GPU but sees none: check the driver, or give --quick.",
            file=sys.stderr,
        )
        return 1
    # Before the page makes the checkout another one.
    commit = git_sha()
    rows: list[tuple[str, str, str]] = []
    failed: list[str] = []
    with tempfile.TemporaryDirectory() as work:
        development, test = prepare(Path(work), "digits" if options.quick else "mnist", limit=PREPARATION)
        for name in options.only:
            place = Path(work, name)
            place.mkdir()
            for what, figure in _found(name, Check(place, development, test, options.quick), failed):
                rows.append((name, what, figure))
                print(": ".join(rows[-1]), flush=True)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(_page(about, rows, commit, shlex.join(arguments)))
    print(f"wrote {options.output}" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


def _found(name: str, check: Check, failed: list[str]) -> Iterator[Row]:
    """Yield the rows of a part; where it fails, name it in `failed`, and yield the error as its last row."""
    measure, budget = PARTS[name]
    try:
        yield from measure(replace(check, deadline=time.monotonic() + budget))
    except RuntimeError as error:
        failed.append(name)
        yield "failed", str(error).strip().splitlines()[-1].replace("|", "/")


def _page(about: dict[str, Any], rows: list[tuple[str, str, str]], commit: str, arguments: str) -> str:
    """Return the page: the machine in its heading, and a row for each figure."""
    gpus = about["gpus"]
    names = " and ".join(f"{gpus.count(name)} x {name}" for name in dict.fromkeys(gpus))
    lines = [
        f"# GPU check on {names}" if gpus else f"# GPU check without a GPU, on {processor_name()}",
        "",
        f"Written by `{f'python -m benchmarks.gpu_check {arguments}'.strip()}` on {datetime.now(UTC):%Y-%m-%d}; do "
        f"not edit. {about['versions']}, on {processor_name()}. Commit {commit}.",
        "",
    ]
    if "--quick" in arguments:
        lines += [
            "**A quick check on the bundled digits: the figures are of too little work to compare.**",
            "",
        ]
    lines += ["| part | what | result |", "| --- | --- | --- |"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
