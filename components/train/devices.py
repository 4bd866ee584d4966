"""Processor cores and GPUs of a training, and the number format and strategy that suit them."""

from pathlib import Path
from typing import TYPE_CHECKING

from components.common.cores import cores
from components.common.errors import PipelineError
from components.common.plan.training import TrainConfig
from components.common.settings import settings

if TYPE_CHECKING:
    import tensorflow as tf

SMALLEST_SHARD = 64
# oneDNN's names of the instructions, in upper case, that have no product of bfloat16.
WITHOUT_BFLOAT16 = {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI"}


def shards_of(batch_size: int) -> int:
    """Return the number of equal parts a batch is split into on a processor: one a core, but none too small."""
    most = min(cores(), max(1, batch_size // SMALLEST_SHARD))
    return next(count for count in range(most, 0, -1) if batch_size % count == 0)


def training_shards(config: TrainConfig) -> int:
    """Return the number of parts of each batch in a training of `config` on a processor."""
    return shards_of(config.batch_size) if config.compiled_loop else 1


def cpu_has_bfloat16() -> bool:
    """Return whether oneDNN multiplies bfloat16 natively; elsewhere bfloat16 is slower than float32."""
    if (settings().onednn_max_cpu_isa or "").upper() in WITHOUT_BFLOAT16:
        return False
    return _cpu_has("avx512_bf16", "amx_bf16")


def onednn_is_decided() -> bool:
    """Return whether every training here gets the same oneDNN kernels: TensorFlow's default has them, or they are set.

    TensorFlow reads the variable at import. Elsewhere a training in shards sets it, and others do not.
    """
    if settings().tf_enable_onednn_opts:
        return True
    return _cpu_has("avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16")


def _cpu_has(*features: str) -> bool:
    """Return whether the processor has one of the features, by Linux's names."""
    try:
        words = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return False
    return not set(features).isdisjoint(words)


def visible_gpus() -> int:
    """Return the number of GPUs that TensorFlow sees."""
    import tensorflow as tf

    return len(tf.config.list_physical_devices("GPU"))


def require_gpus(count: int) -> None:
    """Refuse to train on the processor when GPUs were asked for.

    Args:
        count: GPUs that the task asked for.

    Raises:
        PipelineError: TensorFlow sees fewer.
    """
    if not count:
        return
    visible = visible_gpus()
    if visible < count:
        raise PipelineError(
            f"the step asks for {count} GPUs but TensorFlow sees {visible}: "
            "check the image and the node pool, or set gpu_count=0."
        )


def dtype_policy(precision: str) -> str:
    """Return the Keras dtype policy for `TrainConfig.precision`."""
    if precision == "auto":
        native = _gpus_have_bfloat16() if visible_gpus() else cpu_has_bfloat16()
        precision = "bfloat16" if native else "float32"
    return "mixed_bfloat16" if precision == "bfloat16" else "float32"


def _gpus_have_bfloat16() -> bool:
    import tensorflow as tf

    details = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
    return all(detail.get("compute_capability", (0, 0)) >= (8, 0) for detail in details)


def strategy() -> "tf.distribute.Strategy":
    """Return TensorFlow's strategy for this machine: mirrored over several GPUs, else one device."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy() if visible_gpus() > 1 else tf.distribute.get_strategy()


def describe(shards: int) -> dict[str, str]:
    """Return the facts that decide a training's bits, besides data, configuration and code.

    Args:
        shards: Parts of each batch.
    """
    import keras
    import tensorflow as tf

    return {
        "devices": f"{visible_gpus()} GPUs" if visible_gpus() else f"{cores()} CPU cores",
        "shards": str(shards),
        "intra_op_threads": str(tf.config.threading.get_intra_op_parallelism_threads()),
        "onednn": settings().tf_enable_onednn_opts or "default",
        "dtype_policy": keras.config.dtype_policy().name,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
    }
