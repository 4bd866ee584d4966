"""Exported formats of a model: size, time and memory to the first answer, and speed."""

import statistics
import time
from pathlib import Path

import numpy as np

from benchmarks.process import call
from benchmarks.setting import Result, Results, Setting
from benchmarks.training import train_once

WAYS = (
    ("onnx", False),
    ("onnx", True),
    ("litert", False),
    ("litert", True),
    ("openvino", False),
    ("openvino", True),
    ("saved_model", False),
    ("keras", False),
)
BATCH, IMAGES = 256, "images.npy"
ROUNDS, ROUND_SECONDS = 5, 0.5
QUICK_ROUNDS, QUICK_ROUND_SECONDS = 1, 0.1


def measure(setting: Setting, _: Results) -> Result:
    files = str(setting.work / "files")
    arguments = (str(setting.development), str(setting.test), files, WAYS)
    sizes = call("benchmarks.exports:write_all", *arguments).value
    rounds, seconds = (QUICK_ROUNDS, QUICK_ROUND_SECONDS) if setting.quick else (ROUNDS, ROUND_SECONDS)
    figures: dict[str, list[dict[str, float]]] = {_label(way): [] for way in WAYS}
    for _round in range(rounds):
        for way in WAYS:
            answered = call(
                "benchmarks.exports:answer_times", way[0], str(_path(files, way)), seconds, time.time()
            )
            figures[_label(way)].append(answered.value)
    rows = []
    for label, own in figures.items():
        middle = {name: statistics.median(one[name] for one in own) for name in own[0]}
        starts = [one["start"] for one in own]
        rows.append(
            [
                label,
                f"{sizes[label] / 1000:.0f}",
                f"{middle['start']:.2f}",
                f"{min(starts):.2f} to {max(starts):.2f}",
                f"{middle['memory'] / 2**20:.0f}",
                f"{middle['one'] * 1e3:.3f}",
                f"{BATCH / middle['many']:.0f}",
            ]
        )
    return Result(
        "Exported formats",
        "A model of recipe fast in the formats of `mnist-pipeline export`, each opened by its own runtime in a fresh "
        "process that imports nothing else but NumPy. Start is from the spawn of the process to the first answer; "
        f"memory is the peak of all resident memory. Medians of {rounds} rounds with every format in each.",
        ["format", "kB", "start, s", "range", "memory, MiB", "ms an image", f"images/s, batch {BATCH}"],
        rows,
        figures=dict(figures),
    )


def _label(way: tuple[str, bool]) -> str:
    return f"{way[0]}, int8" if way[1] else way[0]


def _path(files: str, way: tuple[str, bool]) -> Path:
    from pipelines.models.formats import FORMATS

    return Path(files, _label(way), FORMATS[way[0]].path)


def write_all(development: str, test: str, files: str, ways: list[tuple[str, bool]]) -> dict[str, int]:
    """Train a model, write it in every format beside a batch of images, and return the bytes of each."""
    from components.common.data.dataset import open_split
    from components.common.model.classifier import Classifier
    from components.common.model.exchange import float32_copy
    from pipelines.models.formats import FORMATS

    model = Path(files, "model")
    train_once(development, "fast", {"epochs": 0.1, "min_steps": 0, "batch_size": 64}, str(model))
    in_float32 = float32_copy(Classifier(model).model)
    split = open_split(Path(test), "test")
    batch = np.resize(split.images, (BATCH, *split.spec.shape))
    sizes = {}
    for kind, int8 in ways:
        path = _path(files, (kind, int8))
        path.parent.mkdir(parents=True)
        FORMATS[kind].write(in_float32, path, int8)
        written = [file for file in path.parent.rglob("*") if file.is_file()]
        sizes[_label((kind, int8))] = sum(file.stat().st_size for file in written)
        np.save(path.parent / IMAGES, batch)
    return sizes


def answer_times(kind: str, path: str, seconds: float, spawned: float) -> dict[str, float]:
    """Open a file, and ask for one image, then again for as many `seconds`, then for a batch.

    Args:
        kind: Name of the format.
        path: The file, beside its images.
        seconds: Time for the calls of either size.
        spawned: Time of the spawn of this process, by `time.time`.

    Returns:
        Seconds to the first answer, peak of the resident memory in bytes, seconds of a call of one image and of a
        batch.
    """
    from pipelines.models.formats import FORMATS

    answers = FORMATS[kind].open(Path(path))
    batch = np.load(Path(path).with_name(IMAGES))
    answers(batch[:1])
    start = time.time() - spawned
    memory = _peak_bytes()
    each = {}
    for name, images in (("one", batch[:1]), ("many", batch)):
        answers(images)
        calls, started = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - started) < seconds:
            answers(images)
            calls += 1
        each[name] = elapsed / max(1, calls)
    return {"start": start, "memory": memory, **each}


def _peak_bytes() -> int:
    """Return the peak of this program's resident memory; that of `resource` has its parent's in it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
