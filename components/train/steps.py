"""Training steps and scoring, in the two ways that `TrainConfig.compiled_loop` chooses between."""

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from components.common.data.dataset import CLASSES, IMAGE_SHAPE
from components.common.plan.training import TrainConfig
from components.train.augment import augment
from components.train.order import BatchOrder
from components.train.runtime import gpus, shards_of

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

# Images that one call of the compiled loop works through: a second or so on two cores.
CHUNK_IMAGES = 8192


class Steps(Protocol):
    """Trains from step `first` up to `last`, exclusive; returns the sums over these steps' images of loss and hits."""

    def __call__(self, first: int, last: int) -> tuple[float, float]: ...


def keras_steps(model: "keras.Model", order: BatchOrder, config: TrainConfig) -> Steps:
    """Train with Keras's own `fit`, a step at a time."""
    import tensorflow as tf

    def read(step: "tf.Tensor") -> "tuple[tf.Tensor, tf.Tensor]":
        def batch(number: Any) -> tuple[Any, Any]:
            images, labels = order.batches(number, number + 1)
            return images[0], labels[0]

        images, labels = tf.numpy_function(batch, [step], [tf.uint8, tf.uint8], stateful=False)
        images = tf.ensure_shape(images, (config.batch_size, *IMAGE_SHAPE))
        labels = tf.one_hot(tf.ensure_shape(labels, (config.batch_size,)), CLASSES)
        return augment(images, config.augmentation, tf.stack([step, config.seed])), labels

    def run(first: int, last: int) -> tuple[float, float]:
        batches = tf.data.Dataset.range(first, last).map(read).prefetch(4)
        history = model.fit(batches, shuffle=False, verbose=0).history
        images = (last - first) * config.batch_size
        return history["loss"][0] * images, history["accuracy"][0] * images

    return run


def compiled_steps(
    model: "keras.Model", order: BatchOrder, config: TrainConfig, strategy: "tf.distribute.Strategy"
) -> Steps:
    """Train many steps in one call of one compiled function.

    On a processor each batch is split into shards, whose gradients are computed side by side and averaged; on several
    GPUs each replica takes its part of the batch. Batch normalization sees a shard at a time.
    """
    import tensorflow as tf

    shards = 1 if gpus() else shards_of(config.batch_size)
    variables = [variable.value for variable in model.trainable_variables]

    # XLA pays on a GPU; on a processor it halves the speed.
    @tf.function(autograph=False, jit_compile=bool(gpus()) or None)
    def gradients(images: "tf.Tensor", labels: "tf.Tensor") -> Any:
        with tf.GradientTape() as tape:
            probabilities = model(images, training=True)
            loss = model.loss(tf.one_hot(labels, CLASSES), probabilities)
        return [loss, tf.reduce_sum(_hits(probabilities, labels)), *tape.gradient(loss, variables)]

    @tf.function(autograph=False)
    def augmented(images: "tf.Tensor", seed: "tf.Tensor") -> "tf.Tensor":
        return augment(images, config.augmentation, seed)

    def step(images: "tf.Tensor", labels: "tf.Tensor", number: "tf.Tensor") -> "tuple[tf.Tensor, tf.Tensor]":
        replica = tf.distribute.get_replica_context()
        parts = shards * replica.num_replicas_in_sync
        size = config.batch_size // parts
        results = []
        for shard in range(shards):
            part = replica.replica_id_in_sync_group * shards + shard
            seed = tf.stack([number, tf.cast(config.seed * parts + part, tf.int64)])
            own = augmented(_slice(images, part * size, size), seed)
            results.append(gradients(own, _slice(labels, part * size, size)))
        losses, hits, *summed = [tf.add_n(values) for values in zip(*results, strict=True)]
        # Keras divides a loss by the number of replicas, and its optimizers add up what the replicas bring.
        model.optimizer.apply([gradient / shards for gradient in summed], model.trainable_variables)
        return losses * size * replica.num_replicas_in_sync, hits

    @tf.function(
        autograph=False,
        input_signature=[
            tf.TensorSpec((None, config.batch_size, *IMAGE_SHAPE), tf.uint8),
            tf.TensorSpec((None, config.batch_size), tf.uint8),
            tf.TensorSpec((), tf.int64),
        ],
    )
    def chunk(images: "tf.Tensor", labels: "tf.Tensor", first: "tf.Tensor") -> "tuple[tf.Tensor, tf.Tensor]":
        def body(number: "tf.Tensor", loss: "tf.Tensor", hits: "tf.Tensor") -> tuple[Any, ...]:
            results = strategy.run(step, (images[number], labels[number], first + number))
            add = [strategy.reduce(tf.distribute.ReduceOp.SUM, value, axis=None) for value in results]
            return number + 1, loss + add[0], hits + add[1]

        count = tf.shape(images, tf.int64)[0]
        start = (tf.constant(0, tf.int64), tf.constant(0.0), tf.constant(0.0))
        _, loss, hits = tf.while_loop(lambda number, *_: number < count, body, start)
        return loss, hits

    def run(first: int, last: int) -> tuple[float, float]:
        loss, hits = chunk(*order.batches(first, last), first)
        return float(loss), float(hits)

    return run


def scorer(model: "keras.Model", config: TrainConfig) -> Callable[[Any, Any], tuple[float, float]]:
    """Return the function that sums cross-entropy (without label smoothing) and hits over images and labels."""
    import tensorflow as tf

    shards = shards_of(CHUNK_IMAGES) if config.compiled_loop and not gpus() else 1

    @tf.function(autograph=False, reduce_retracing=True)
    def part(images: "tf.Tensor", labels: "tf.Tensor") -> "tuple[tf.Tensor, tf.Tensor]":
        probabilities = model(images, training=False)
        losses = tf.keras.losses.sparse_categorical_crossentropy(labels, probabilities)
        return tf.reduce_sum(losses), tf.reduce_sum(_hits(probabilities, labels))

    @tf.function(
        autograph=False,
        input_signature=[tf.TensorSpec((None, *IMAGE_SHAPE), tf.uint8), tf.TensorSpec((None,), tf.uint8)],
    )
    def score(images: "tf.Tensor", labels: "tf.Tensor") -> "tuple[tf.Tensor, tf.Tensor]":
        bounds = [tf.shape(labels)[0] * shard // shards for shard in range(shards + 1)]
        results = [part(images[a:b], labels[a:b]) for a, b in itertools.pairwise(bounds)]
        loss, hits = (tf.add_n(values) for values in zip(*results, strict=True))
        return loss, hits

    def run(images: Any, labels: Any) -> tuple[float, float]:
        loss, hits = score(images, labels)
        return float(loss), float(hits)

    return run


def _hits(probabilities: "tf.Tensor", labels: "tf.Tensor") -> "tf.Tensor":
    import tensorflow as tf

    return tf.cast(tf.argmax(probabilities, -1, tf.int32) == tf.cast(labels, tf.int32), tf.float32)


def _slice(array: "tf.Tensor", begin: Any, size: int) -> "tf.Tensor":
    import tensorflow as tf

    part = (
        tf.strided_slice(array, [begin], [begin + size])
        if isinstance(begin, int)
        else array[begin : begin + size]
    )
    return tf.ensure_shape(part, (size, *array.shape[1:]))
