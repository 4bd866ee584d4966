"""One pass over the data and over ten times the data: time and memory."""

import statistics
from pathlib import Path

import numpy as np

from benchmarks.process import call
from benchmarks.setting import Floor, Result, Results, Setting
from components.common.data.dataset import Split, open_split, write_splits
from components.common.data.info import DatasetInfo

TIMES = 10
ROUNDS = 2


def measure(setting: Setting, _: Results) -> Result:
    larger = setting.work / "larger"
    tile(setting.development, larger, TIMES)
    sizes = {"1": setting.development, str(TIMES): larger}
    seconds: dict[str, list[float]] = {size: [] for size in sizes}
    memory: dict[str, list[float]] = {size: [] for size in sizes}
    for number in range(1 if setting.quick else ROUNDS):
        for size, data in sizes.items():
            target = str(setting.work / f"{size}-{number}")
            one_pass = {"epochs": 1, "min_steps": 0}
            ended = call("benchmarks.training:train_once", str(data), "fast", one_pass, target)
            seconds[size].append(ended.value["seconds"])
            memory[size].append(ended.anonymous_bytes / 2**20)
    time_ratio, memory_ratio = (
        statistics.median(b / a for a, b in zip(*of.values(), strict=True)) for of in (seconds, memory)
    )
    rows = [
        [
            f"{size} x",
            f"{statistics.median(seconds[size]):.2f}",
            f"{min(seconds[size]):.2f} to {max(seconds[size]):.2f}",
            f"{statistics.median(memory[size]):.0f}",
        ]
        for size in sizes
    ]
    return Result(
        "Cost against data size",
        f"One pass of recipe fast over the training split and over {TIMES} copies of it in one memory-mapped file, "
        "each in a fresh process. Seconds are those of the training steps, the first of which also compile; memory "
        "is the peak of anonymous resident memory (RssAnon): pages of the mapped file, which the kernel takes back "
        "at will, are not in it. Medians, ratios paired by round.",
        ["data", "seconds", "range", "peak memory, MiB"],
        rows,
        [
            Floor(f"time of {TIMES} x the data, ratio", time_ratio, 10.5, at_least=False),
            Floor(f"memory of {TIMES} x the data, ratio", memory_ratio, 1.2, at_least=False),
        ],
        {"seconds": seconds, "mebibytes": memory},
    )


def tile(development: Path, target: Path, times: int) -> None:
    """Write prepared data whose training split holds every image `times` times."""
    train, validation = open_split(development, "train"), open_split(development, "validation")
    count = len(train.labels)
    scratch = target.with_suffix(".npy")
    images = np.lib.format.open_memmap(
        scratch, mode="w+", dtype=np.uint8, shape=(count * times, *train.images.shape[1:])
    )
    for number in range(times):
        images[number * count : (number + 1) * count] = train.images
    splits = {"train": Split(images, np.tile(train.labels, times), train.spec), "validation": validation}
    info = DatasetInfo.load(development)
    write_splits(target, splits, raw=info.raw, split=info.split, test_digest=info.test_digest)
    del images
    scratch.unlink()
