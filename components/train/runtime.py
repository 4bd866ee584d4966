"""How TensorFlow is started for a training: what it imports, its threads, its number format, its devices."""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf

# Keras imports these when they are there, for features that training does not use: two of its five seconds.
UNUSED_BY_TRAINING = ("matplotlib", "pandas", "sklearn")
SMALLEST_SHARD = 64


@contextmanager
def _without(modules: tuple[str, ...]) -> Iterator[None]:
    hidden = [name for name in modules if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # an import then fails, as of a module not installed
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def start_tensorflow(*, shards: int) -> None:
    """Import TensorFlow and Keras in the least time, and give each of `shards` graphs its part of the cores.

    A training in one shard keeps TensorFlow's defaults, but for OMP_NUM_THREADS. In more, small operations run on one
    thread each, side by side, which on a processor is up to twice as fast as many threads for each small operation.
    Threads can only be set before TensorFlow's first operation; a process that is past that keeps those it has.
    """
    if shards > 1:
        # Faster from AVX2 on, but TensorFlow's default only from AVX-512 on.
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    # The objects that the import makes stay: looking for garbage among them is a good part of its time.
    gc.disable()
    with _without(UNUSED_BY_TRAINING):
        import keras  # noqa: F401
        import tensorflow as tf
    gc.enable()
    gc.freeze()
    split = shards > 1 and not gpus()
    # Split graphs gain less than it costs. Set either way: an earlier training of the process may have had it set.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": split})
    if split or "OMP_NUM_THREADS" in os.environ:
        with suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(max(1, cores() // shards))
            tf.config.threading.set_inter_op_parallelism_threads(cores())


def cores() -> int:
    """Return the processor cores that a training may use: OMP_NUM_THREADS, as set for a container, else all."""
    return int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))


def shards_of(batch_size: int) -> int:
    """Return into how many equal parts a batch is split on a processor: one a core, but none too small."""
    most = min(cores(), max(1, batch_size // SMALLEST_SHARD))
    return next(count for count in range(most, 0, -1) if batch_size % count == 0)


def cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 natively; elsewhere it is emulated, and slower than float32."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def gpus() -> int:
    import tensorflow as tf

    return len(tf.config.list_physical_devices("GPU"))


def dtype_policy(precision: str) -> str:
    """Return the Keras dtype policy for `TrainConfig.precision`."""
    if precision == "auto":
        precision = "bfloat16" if _gpu_has_bfloat16() or (not gpus() and cpu_has_bfloat16()) else "float32"
    return "mixed_bfloat16" if precision == "bfloat16" else "float32"


def _gpu_has_bfloat16() -> bool:
    import tensorflow as tf

    details = [
        tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")
    ]
    return bool(details) and all(detail.get("compute_capability", (0, 0)) >= (8, 0) for detail in details)


def strategy() -> "tf.distribute.Strategy":
    """Return TensorFlow's strategy for this machine: mirrored over several GPUs, else one device."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy() if gpus() > 1 else tf.distribute.get_strategy()


def describe(shards: int) -> dict[str, str]:
    """Return what, besides data, configuration and code, decides a training's very bits."""
    import keras
    import tensorflow as tf

    return {
        "devices": f"{gpus()} GPUs" if gpus() else f"{cores()} CPU cores",
        "shards": str(shards),
        "intra_op_threads": str(tf.config.threading.get_intra_op_parallelism_threads()),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"),
        "dtype_policy": keras.config.dtype_policy().name,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
    }
