"""Training loops: Keras's `fit`, and many steps in one compiled function."""

from typing import Any, Protocol

import keras
import tensorflow as tf

from components.common.plan.training import TrainConfig
from components.train.augment import augment
from components.train.class_weights import class_weights
from components.train.devices import shards_of, visible_gpus
from components.train.order import BatchOrder
from components.train.scoring import right_answers


class Loop(Protocol):
    """A way to train a model step by step."""

    def run(self, first: int, last: int) -> tuple[float, float]:
        """Train from step `first` up to `last`, exclusive.

        Returns:
            The sums of the loss and of right answers over the images of these steps.
        """


class KerasLoop:
    """Training by Keras's `fit`, one batch a step, as in the tutorial.

    Args:
        model: A compiled model.
        order: Batches by step.
        config: Options of the training.
    """

    def __init__(self, model: keras.Model, order: BatchOrder, config: TrainConfig) -> None:
        self._model, self._order, self._config = model, order, config
        self._weights = class_weights(order.split) if config.class_weights else None

    def run(self, first: int, last: int) -> tuple[float, float]:
        batches = tf.data.Dataset.range(first, last).map(self._augmented_batch).prefetch(4)
        history = self._model.fit(batches, shuffle=False, verbose=0).history
        images = (last - first) * self._config.batch_size
        return history["loss"][0] * images, history["accuracy"][0] * images

    def _augmented_batch(self, step: tf.Tensor) -> tuple[tf.Tensor, ...]:
        spec, size = self._order.split.spec, self._config.batch_size
        types = [tf.uint8, tf.as_dtype(spec.label_type)]
        images, labels = tf.numpy_function(self._read, [step], types, stateful=False)
        images, labels = tf.ensure_shape(images, (size, *spec.shape)), tf.ensure_shape(labels, (size,))
        seed = tf.stack([step, self._config.seed])
        augmented = augment(images, self._config.augmentation, spec, seed)
        targets = tf.one_hot(labels, len(spec.classes))
        if self._weights is None:
            return augmented, targets
        return augmented, targets, tf.gather(self._weights, tf.cast(labels, tf.int32))

    def _read(self, step: int) -> tuple[Any, Any]:
        images, labels = self._order.batches(step, step + 1)
        return images[0], labels[0]


class CompiledLoop:
    """Training of many steps in one call of one compiled function.

    On a processor each batch is split into shards, whose gradients are computed side by side and averaged. On several
    GPUs each replica takes its part of the batch. Batch normalization sees one shard at a time. A shard changes no
    variable: TensorFlow would let the next one wait for it.

    Args:
        model: A compiled model, made in the scope of `strategy`.
        order: Batches by step.
        config: Options of the training.
        strategy: Devices to train on.
    """

    def __init__(
        self, model: keras.Model, order: BatchOrder, config: TrainConfig, strategy: tf.distribute.Strategy
    ) -> None:
        self._model, self._order, self._config, self._strategy = model, order, config, strategy
        self._spec = spec = order.split.spec
        self._weights = class_weights(order.split) if config.class_weights else None
        self._shards = 1 if visible_gpus() else shards_of(config.batch_size)
        self._variables = [variable.value for variable in model.trainable_variables]
        # XLA pays on a GPU; on a processor it halves the speed.
        self._compiled_gradients = tf.function(
            self._gradients, autograph=False, jit_compile=bool(visible_gpus()) or None
        )
        self._compiled_augment = tf.function(self._augment, autograph=False)
        self._compiled_chunk = tf.function(
            self._chunk,
            autograph=False,
            input_signature=[
                tf.TensorSpec((None, config.batch_size, *spec.shape), tf.uint8),
                tf.TensorSpec((None, config.batch_size), tf.as_dtype(spec.label_type)),
                tf.TensorSpec((), tf.int64),
            ],
        )

    def run(self, first: int, last: int) -> tuple[float, float]:
        loss, hits = self._compiled_chunk(*self._order.batches(first, last), first)
        return float(loss), float(hits)

    def _chunk(self, images: tf.Tensor, labels: tf.Tensor, first: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Train on steps x B images; return the sums of loss and right answers."""

        def body(number: tf.Tensor, loss: tf.Tensor, hits: tf.Tensor) -> tuple[tf.Tensor, ...]:
            results = self._strategy.run(self._step, (images[number], labels[number], first + number))
            add = [self._strategy.reduce(tf.distribute.ReduceOp.SUM, value, axis=None) for value in results]
            return number + 1, loss + add[0], hits + add[1]

        count = tf.shape(images, tf.int64)[0]
        start = (tf.constant(0, tf.int64), tf.constant(0.0), tf.constant(0.0))
        _, loss, hits = tf.while_loop(lambda number, *_: number < count, body, start)
        return loss, hits

    def _step(self, images: tf.Tensor, labels: tf.Tensor, number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Take one optimizer step on a batch; each replica sees the whole batch and takes its part."""
        replica = tf.distribute.get_replica_context()
        parts = self._shards * replica.num_replicas_in_sync
        size = self._config.batch_size // parts
        results = []
        # Moving averages, and the states of random numbers: they go from one shard to the next.
        states = [variable.value for variable in self._model.non_trainable_variables]
        for shard in range(self._shards):
            part = replica.replica_id_in_sync_group * self._shards + shard
            seed = tf.stack([number, tf.cast(self._config.seed * parts + part, tf.int64)])
            augmented = self._compiled_augment(_slice(images, part * size, size), seed)
            result, states = self._compiled_gradients(
                augmented,
                _slice(labels, part * size, size),
                [tf.convert_to_tensor(state) for state in states],
            )
            results.append(result)
        for variable, state in zip(self._model.non_trainable_variables, states, strict=True):
            variable.assign(state)
        losses, hits, *summed = [tf.add_n(values) for values in zip(*results, strict=True)]
        # Keras divides a loss by the number of replicas, and its optimizers add the replicas' gradients.
        gradients = [gradient / self._shards for gradient in summed]
        self._model.optimizer.apply(gradients, self._model.trainable_variables)
        return losses * size * replica.num_replicas_in_sync, hits

    def _augment(self, images: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return augment(images, self._config.augmentation, self._spec, seed)

    def _gradients(
        self, images: tf.Tensor, labels: tf.Tensor, states: list[tf.Tensor]
    ) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Return the mean loss, the number of right answers, and the gradient of each trainable variable; and states.

        Args:
            images: uint8, B x height x width x channels.
            labels: Places in `spec.classes`, B.
            states: Values of the variables that are not trained; they are returned as they are afterwards.
        """
        weights = None if self._weights is None else tf.gather(self._weights, tf.cast(labels, tf.int32))
        with tf.GradientTape() as tape:
            probabilities, states = self._model.stateless_call(self._variables, states, images, training=True)
            loss = self._model.loss(tf.one_hot(labels, len(self._spec.classes)), probabilities, weights)
        hits = tf.reduce_sum(right_answers(probabilities, labels))
        return [loss, hits, *tape.gradient(loss, self._variables)], states


def _slice(array: tf.Tensor, begin: Any, size: int) -> tf.Tensor:
    part = (
        tf.strided_slice(array, [begin], [begin + size])
        if isinstance(begin, int)
        else array[begin : begin + size]
    )
    return tf.ensure_shape(part, (size, *array.shape[1:]))
