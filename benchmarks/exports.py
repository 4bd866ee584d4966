"""Exported formats of a model: size, time and memory to the first answer, and speed."""

import statistics
import time
from pathlib import Path

import numpy as np

from benchmarks.process import call
from benchmarks.setting import Result, Results, Setting
from benchmarks.training import train_once

WAYS = (
    ("fast", "onnx", False),
    ("fast", "onnx", True),
    ("fast", "litert", False),
    ("fast", "litert", True),
    ("fast", "openvino", False),
    ("fast", "openvino", True),
    ("fast", "saved_model", False),
    ("fast", "keras", False),
    ("best", "onnx", False),
    ("best", "onnx", True),
    ("best", "litert", False),
    ("best", "litert", True),
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
                "benchmarks.exports:answer_times", way[1], str(_path(files, way)), seconds, time.time()
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
        "Models of recipes fast and best, which has five views, in the formats of `mnist-pipeline export`, each opened "
        "by its own runtime in a fresh process that imports nothing else but NumPy. Start is from the spawn of the "
        "process to the first answer; memory is the peak of all resident memory. Medians of "
        f"{rounds} rounds with every format in each.",
        ["file", "kB", "start, s", "range", "memory, MiB", "ms an image", f"images/s, batch {BATCH}"],
        rows,
        figures=dict(figures),
    )


def _label(way: tuple[str, str, bool]) -> str:
    recipe, kind, int8 = way
    return f"{recipe}, {kind}, int8" if int8 else f"{recipe}, {kind}"


def _path(files: str, way: tuple[str, str, bool]) -> Path:
    from pipelines.models.formats import FORMATS

    return Path(files, _label(way), FORMATS[way[1]].path)


def write_all(development: str, test: str, files: str, ways: list[tuple[str, str, bool]]) -> dict[str, int]:
    """Train a model of each recipe, write the files beside a batch of images, and return the bytes of each."""
    from components.common.data.dataset import open_split
    from components.common.model.classifier import Classifier
    from components.common.model.exchange import float32_copy
    from pipelines.models.formats import FORMATS

    in_float32 = {}
    for recipe in {recipe for recipe, _, _ in ways}:
        model = Path(files, recipe)
        train_once(development, recipe, {"epochs": 0.1, "min_steps": 0, "batch_size": 64}, str(model))
        in_float32[recipe] = float32_copy(Classifier(model).model)
    split = open_split(Path(test), "test")
    batch = np.resize(split.images, (BATCH, *split.spec.shape))
    sizes = {}
    for way in ways:
        recipe, kind, int8 = way
        path = _path(files, way)
        path.parent.mkdir(parents=True)
        FORMATS[kind].write(in_float32[recipe], path, int8)
        written = [file for file in path.parent.rglob("*") if file.is_file()]
        sizes[_label(way)] = sum(file.stat().st_size for file in written)
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
