"""Ingest and preparation of the data and of ten times the data: time and memory."""

import re
import statistics
import time
from pathlib import Path

import numpy as np

from benchmarks.process import call
from benchmarks.setting import Floor, Result, Results, Setting
from components.common.data.dataset import open_split
from components.common.data.raw_data import PixelWriter, raw_files, write_labels

TIMES = 10
ROUNDS = 3
MOST_MEBIBYTES = 400
# Whole processes on a machine that does other things too differ by some percent.
MOST_TIME = TIMES * 1.1


def measure(setting: Setting, _: Results) -> Result:
    sizes = {"1": 1, str(TIMES): TIMES}
    sources = {size: setting.work / f"data-{size}" for size in sizes}
    for size, times in sizes.items():
        repeat(setting.development, setting.test, sources[size], times)
    seconds: dict[str, list[float]] = {size: [] for size in sizes}
    memory: dict[str, list[float]] = {size: [] for size in sizes}
    images = {}
    for number in range(1 if setting.quick else ROUNDS):
        for size, source in sources.items():
            target = str(setting.work / f"taken-{size}-{number}")
            ended = call("benchmarks.ingest:take_and_prepare", str(source), target).value
            images[size] = ended["images"]
            seconds[size].append(ended["seconds"])
            memory[size].append(ended["mebibytes"])
    ratio = statistics.median(b / a for a, b in zip(*seconds.values(), strict=True))
    return Result(
        "Ingest and preparation against data size",
        f"The data as idx files, and {TIMES} times as many images, all of them different: recognized, read, described, "
        "hashed, split and written by the ingest and preprocess steps' own functions, each time in a fresh process. "
        "Seconds are those of both functions. Memory is the peak of all resident memory, mapped files included, less "
        "what the imports take. Medians; the ratio is paired by round.",
        ["images", "seconds", "range", "memory beyond the imports, MiB"],
        [
            [
                f"{images[size]:,}",
                f"{statistics.median(seconds[size]):.2f}",
                f"{min(seconds[size]):.2f} to {max(seconds[size]):.2f}",
                f"{statistics.median(memory[size]):.0f}",
            ]
            for size in sizes
        ],
        [
            Floor(f"ingest of {TIMES} x the data, time ratio", ratio, MOST_TIME, at_least=False),
            Floor(
                f"ingest of {TIMES} x the data, MiB beyond the imports",
                statistics.median(memory[str(TIMES)]),
                MOST_MEBIBYTES,
                at_least=False,
            ),
        ],
        {"seconds": seconds, "mebibytes": memory},
    )


def repeat(development: Path, test: Path, target: Path, times: int) -> None:
    """Write idx files with `times` differing copies of all images of prepared data."""
    target.mkdir()
    splits = {
        "train": [open_split(development, "train"), open_split(development, "validation")],
        "test": [open_split(test, "test")],
    }
    for part, found in splits.items():
        spec = found[0].spec
        images_file, labels_file = raw_files(part, spec)
        with PixelWriter(target / images_file, spec.shape) as writer:
            for number in range(times):
                for split in found:
                    for chunk in split.chunks():
                        images = np.array(chunk)
                        # A corner is paper in every image; its value makes the copies differ.
                        images[:, 0, 0] = number
                        writer.add(images)
        labels = np.concatenate([split.labels for split in found])
        write_labels(target / labels_file, np.tile(labels, times), spec)


def take_and_prepare(source: str, directory: str) -> dict[str, float]:
    """Ingest and prepare the data at `source`; return seconds, images, and MiB beyond those of the imports."""
    import matplotlib.figure  # noqa: F401
    import sklearn.model_selection  # noqa: F401

    from components.common.plan.run import DataPlan
    from components.ingest.collect import collect_data
    from components.preprocess.prepare import prepare_splits

    target, plan = Path(directory), DataPlan(source=Path(source).as_uri())
    before, started = _peak(), time.perf_counter()
    info = collect_data(plan, target / "raw")
    prepare_splits(target / "raw", plan, development=target / "development", test=target / "test")
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "images": sum(info.counts.values()), "mebibytes": _peak() - before}


def _peak() -> float:
    """Return the peak of this process in MiB; that of `getrusage` would begin with the peak of the parent."""
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024
