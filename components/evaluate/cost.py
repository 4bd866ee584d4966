"""What a model costs to keep and to ask."""

import os
import platform
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from components.common.data.dataset import IMAGE_SHAPE
from components.common.model.classifier import Classifier

# Batch size and number of timed calls.
TIMED = ((1, 50), (256, 8))


@dataclass(frozen=True)
class Cost:
    """Size of the file in bytes, floating-point operations an image, median latency of a call in milliseconds."""

    parameters: int
    size: int
    flops: int
    latency_1: float
    latency_256: float
    machine: str


def cost(classifier: Classifier) -> Cost:
    """Measure a model on this machine."""
    one, many = (_latency(classifier, batch, calls) for batch, calls in TIMED)
    return Cost(
        parameters=classifier.model.count_params(),
        size=classifier.path.stat().st_size,
        flops=_flops(classifier),
        latency_1=one,
        latency_256=many,
        machine=f"{_processor()}, {os.cpu_count()} logical cores",
    )


def _latency(classifier: Classifier, batch: int, calls: int) -> float:
    images = np.zeros((batch, *IMAGE_SHAPE), np.uint8)
    classifier.probabilities(images)
    seconds = []
    for _ in range(calls):
        started = time.perf_counter()
        np.asarray(classifier.probabilities(images))
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds) * 1000


def _flops(classifier: Classifier) -> int:
    """Count with TensorFlow's profiler, on the graph for one image."""
    import tensorflow as tf

    single = tf.function(lambda images: classifier.model(images, training=False))
    profiler = tf.compat.v1.profiler
    options = profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation())
    graph = single.get_concrete_function(tf.TensorSpec((1, *IMAGE_SHAPE), tf.uint8)).graph
    return int(profiler.profile(graph, options=options.with_empty_output().build()).total_float_ops)


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
