"""Start of TensorFlow for a training."""

from contextlib import suppress

from components.common.compat.keras import import_keras
from components.common.cores import cores
from components.common.settings import export_defaults, settings
from components.train.devices import visible_gpus


def start_tensorflow(*, shards: int, at_once: int = 1) -> None:
    """Import TensorFlow and Keras, and divide the processor's cores among the shards of a batch.

    A training in one shard keeps TensorFlow's default threads unless OMP_NUM_THREADS is set. In several shards each
    operation runs on the shard's part of the cores: small operations are up to twice as fast that way. Threads can
    only be set before TensorFlow's first operation; a process past that point keeps the threads it has.

    Args:
        shards: Parts of each batch.
        at_once: Processes that train at the same time, as many as there are shards. Each computes one shard after the
            other, on the cores that one shard has in a training alone, so its weights have the same bits.
    """
    if shards > 1:
        # Faster from AVX2 on, but TensorFlow's default only from AVX-512 on. TensorFlow reads it at import.
        export_defaults({"TF_ENABLE_ONEDNN_OPTS": "1"})
    import_keras()
    import tensorflow as tf

    split = shards > 1 and not visible_gpus()
    # Split graphs gain less than the optimizer costs. An earlier training of this process may have set the opposite.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": split})
    if split or settings().omp_num_threads:
        with suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(max(1, cores() // shards))
            if not tf.config.threading.get_inter_op_parallelism_threads():
                tf.config.threading.set_inter_op_parallelism_threads(cores() if at_once == 1 else 1)
