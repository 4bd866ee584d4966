"""Seconds to an answer of a saved model, by batch size and by way of asking."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.process import call
from benchmarks.setting import Floor, Result, Results, Setting

BATCHES = (1, 32, 1024)
ROUNDS, ROUND_SECONDS = 7, 0.5
QUICK_ROUNDS, QUICK_ROUND_SECONDS = 3, 0.1
OURS, PREDICT, RUNTIME = "Classifier.probabilities", "Keras predict", "RuntimeClassifier.probabilities"


def measure(setting: Setting, _: Results) -> Result:
    model = str(setting.work / "model")
    call(
        "benchmarks.training:train_once",
        str(setting.development),
        "fast",
        {"epochs": 0.1, "min_steps": 0},
        model,
    )
    effort = (QUICK_ROUNDS, QUICK_ROUND_SECONDS) if setting.quick else (ROUNDS, ROUND_SECONDS)
    times = call("benchmarks.inference:seconds_per_call", model, str(setting.test), *effort).value
    rows, floors = [], []
    for batch in BATCHES:
        of_batch = times[str(batch)]
        for way, own in of_batch.items():
            ratio = statistics.median(b / a for a, b in zip(own, of_batch[PREDICT], strict=True))
            spread = f"{min(own) * 1e3:.3f} to {max(own) * 1e3:.3f}"
            median = statistics.median(own)
            if way == RUNTIME and batch == 1:
                times_ours = statistics.median(b / a for a, b in zip(own, of_batch[OURS], strict=True))
                floors.append(Floor("ONNX Runtime at batch 1: times the Classifier", times_ours, 6))
            rows.append(
                [str(batch), way, f"{median * 1e3:.3f}", spread, f"{batch / median:.0f}", f"{ratio:.2f}"]
            )
            if way == OURS and batch in {1, 1024}:
                floors.append(
                    Floor(f"inference at batch {batch}: times Keras predict", ratio, 50 if batch == 1 else 2)
                )
    return Result(
        "Inference",
        "A saved model of recipe fast, loaded once; uint8 images from the test split to probabilities in NumPy. "
        f"{effort[0]} rounds with every way in each; medians of the mean time a call.",
        ["batch", "way", "ms a call", "range", "images/s", "times Keras predict"],
        rows,
        floors,
        times,
    )


def seconds_per_call(
    directory: str, test: str, rounds: int, seconds: float
) -> dict[str, dict[str, list[float]]]:
    """Return the mean seconds of a call, by batch size and way, for every round."""
    import numpy as np

    from components.common.data.dataset import open_split
    from components.common.model.classifier import Classifier
    from components.common.model.runtime import RuntimeClassifier
    from components.evaluate.exchange import write_exchange

    classifier = Classifier(Path(directory))
    model = classifier.model
    test_images = open_split(Path(test), "test").images
    write_exchange(Path(directory), classifier, test_images[:256])
    runtime = RuntimeClassifier(Path(directory))
    ways: dict[str, Callable[[Any], Any]] = {
        PREDICT: lambda images: model.predict(images, batch_size=len(images), verbose=0),
        "Keras predict_on_batch": model.predict_on_batch,
        "Keras model()": lambda images: model(images, training=False).numpy(),
        OURS: classifier.probabilities,
        RUNTIME: runtime.probabilities,
    }
    times: dict[str, dict[str, list[float]]] = {}
    for batch in BATCHES:
        images = np.array(np.resize(test_images, (batch, *test_images.shape[1:])))
        for ask in ways.values():
            ask(images)
        times[str(batch)] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, ask in ways.items():
                times[str(batch)][way].append(_mean_seconds(ask, images, seconds))
    return times


def _mean_seconds(ask: Callable[[Any], Any], images: Any, seconds: float) -> float:
    calls, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds or calls < 3:
        ask(images)
        calls += 1
    return elapsed / calls
