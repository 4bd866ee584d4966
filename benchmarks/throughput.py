"""Images a second of training, by what makes the loop fast."""

import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.process import call
from benchmarks.setting import Result, Results, Setting

COMPILED = {"compiled_loop": True}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "Keras fit, float32, batch 64 (recipe seed)": ("seed", {}),
    "compiled loop": ("seed", COMPILED),
    "compiled loop, batch 256": ("seed", {**COMPILED, "batch_size": 256}),
    "compiled loop, batch 256, bfloat16": ("seed", {**COMPILED, "batch_size": 256, "precision": "bfloat16"}),
    "network and options of recipe fast": ("fast", {}),
}
ROUNDS, IMAGES = 4, 16384
QUICK_ROUNDS, QUICK_IMAGES = 1, 2048


def measure(setting: Setting, _: Results) -> Result:
    from components.train.devices import cpu_has_bfloat16

    variants = {
        name: variant
        for name, variant in VARIANTS.items()
        if cpu_has_bfloat16() or variant[1].get("precision") != "bfloat16"
    }
    rounds, images = (QUICK_ROUNDS, QUICK_IMAGES) if setting.quick else (ROUNDS, IMAGES)
    speeds: dict[str, list[float]] = {name: [] for name in variants}
    for _round in range(rounds):
        for name, (recipe, changes) in variants.items():
            arguments = (str(setting.development), recipe, changes, images)
            speeds[name].append(call("benchmarks.throughput:images_per_second", *arguments).value)
    base = next(iter(speeds.values()))
    rows = []
    for name, own in speeds.items():
        ratio = statistics.median(a / b for a, b in zip(own, base, strict=True))
        rows.append(
            [name, f"{statistics.median(own):.0f}", f"{min(own):.0f} to {max(own):.0f}", f"{ratio:.2f}"]
        )
    missing = "" if len(variants) == len(VARIANTS) else " This processor has no bfloat16."
    return Result(
        "Images a second",
        f"Training speed after a warm-up, {images} images a measurement, each in a fresh process; {rounds} rounds "
        f"with every variant in each, median, range, and median of the ratios within a round.{missing}",
        ["variant", "images/s", "range", "times the first"],
        rows,
        figures=dict(speeds),
    )


def images_per_second(development: str, recipe: str, changes: dict[str, Any], images: int) -> float:
    """Train on `images` images, after the first calls have compiled everything."""
    from components.common.data.dataset import open_split
    from components.common.plan.training import RECIPES
    from components.train.session import Session

    # Long enough a schedule for the warm-up and all that is measured.
    config = RECIPES[recipe].differing(epochs=1000, **changes)
    train, validation = (open_split(Path(development), name) for name in ("train", "validation"))
    session = Session(train, validation, config)
    session.run_until(10)
    last = session.step + images // config.batch_size
    started, first = time.perf_counter(), session.step
    session.run_until(last)
    return (last - first) * config.batch_size / (time.perf_counter() - started)
