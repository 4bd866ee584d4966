"""Which number format the training computes in."""

from pathlib import Path


def cpu_has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 natively; elsewhere it is emulated, and slower than float32."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def dtype_policy(precision: str) -> str:
    """Return the Keras dtype policy for `TrainConfig.precision`."""
    import tensorflow as tf

    if precision == "auto":
        native = bool(tf.config.list_physical_devices("GPU")) or cpu_has_bfloat16()
        precision = "bfloat16" if native else "float32"
    return "mixed_bfloat16" if precision == "bfloat16" else "float32"
