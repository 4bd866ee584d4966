"""Model size and inference latency."""

import os
import statistics
import time
from dataclasses import dataclass

import numpy as np

from components.common.model.classifier import Classifier
from components.common.provenance import processor_name

# Batch size and number of timed calls.
TIMED = ((1, 50), (256, 8))
# Time in seconds after which no further call of a batch is made.
ENOUGH = 10.0


@dataclass(frozen=True)
class Cost:
    """Size and latency of a model.

    Attributes:
        parameters: Number of weights.
        size: Size of the model's file in bytes.
        flops: Floating-point operations an image.
        latency_1: Median duration of a call with one image, in milliseconds.
        latency_256: Median duration of a call with 256 images, in milliseconds.
        machine: Processor and number of cores that the latencies were measured on.
    """

    parameters: int
    size: int
    flops: int
    latency_1: float
    latency_256: float
    machine: str


def measure_cost(classifier: Classifier) -> Cost:
    """Measure size, operations and latency of a model on this machine."""
    one, many = (_latency(classifier, batch, calls) for batch, calls in TIMED)
    return Cost(
        parameters=classifier.model.count_params(),
        size=classifier.path.stat().st_size,
        flops=_flops(classifier),
        latency_1=one,
        latency_256=many,
        machine=f"{processor_name()}, {os.cpu_count()} logical cores",
    )


def _latency(classifier: Classifier, batch: int, calls: int) -> float:
    images = np.zeros((batch, *classifier.spec.shape), np.uint8)
    classifier.probabilities(images)
    seconds: list[float] = []
    while not seconds or (len(seconds) < calls and sum(seconds) < ENOUGH):
        started = time.perf_counter()
        classifier.probabilities(images)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds) * 1000


def _flops(classifier: Classifier) -> int:
    """Count the floating-point operations in the graph for one image, with TensorFlow's profiler."""
    import tensorflow as tf

    single = tf.function(lambda images: classifier.model(images, training=False))
    profiler = tf.compat.v1.profiler
    options = profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation())
    graph = single.get_concrete_function(
        tf.TensorSpec((1, *classifier.model.inputs[0].shape[1:]), tf.uint8)
    ).graph
    return int(profiler.profile(graph, options=options.with_empty_output().build()).total_float_ops)
