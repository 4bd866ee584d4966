"""The optimizer Muon: momentum with orthogonalized steps, for the hidden kernels of a network.

See Keller Jordan et al., 2024. Keras's Muon orthogonalizes matrices only. Here a convolution's kernel counts as the
matrix of its patches, and the step is scaled so that one learning rate fits kernels of all shapes.
"""

from typing import Any

import keras
import tensorflow as tf
from keras import ops

MOMENTUM = 0.7
NEWTON_SCHULZ_STEPS = 3
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


class Muon(keras.optimizers.Optimizer):
    """Muon for all kernels but the first and the last; Adam for these two, for biases and for normalization.

    Args:
        learning_rate: Learning rate of Muon, a number or a schedule.
        adam_factor: Learning rate of Adam as a multiple of Muon's.
    """

    beta_1, beta_2, epsilon = 0.9, 0.95, 1e-8

    def __init__(self, learning_rate: Any, adam_factor: float, name: str = "muon") -> None:
        super().__init__(learning_rate=learning_rate, name=name)
        self.adam_factor = adam_factor

    def build(self, variables: list[Any]) -> None:
        """Create the state for `variables`, in the model's order."""
        if self.built:
            return
        super().build(variables)
        kernels = [index for index, variable in enumerate(variables) if len(variable.shape) > 1]
        self._hidden = set(kernels[1:-1])
        self._momenta = self.add_optimizer_variables(variables, "momentum")
        self._velocities = [
            None if index in self._hidden else self.add_variable_from_reference(variable, name="velocity")
            for index, variable in enumerate(variables)
        ]

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Take one step on all variables."""
        step = ops.cast(self.iterations + 1, "float32")
        # Once a step, not for each variable: each trial of a search builds a new graph, small ones faster.
        self._powers = tf.pow(self.beta_1, step), tf.pow(self.beta_2, step)
        super().apply(grads, trainable_variables)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update one variable by its gradient."""
        index = self._get_variable_index(variable)
        momentum, velocity = self._momenta[index], self._velocities[index]
        gradient = ops.cast(gradient, variable.dtype)
        rate = ops.cast(learning_rate, variable.dtype)
        if velocity is None:
            self.assign(momentum, MOMENTUM * momentum + gradient)
            self.assign_sub(variable, rate * orthogonal(gradient + MOMENTUM * momentum))
            return
        # One operation where Keras has many, for the same reason.
        tf.raw_ops.ResourceApplyAdam(
            var=_handle(variable),
            m=_handle(momentum),
            v=_handle(velocity),
            beta1_power=self._powers[0],
            beta2_power=self._powers[1],
            lr=rate * self.adam_factor,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


def _handle(variable: Any) -> Any:
    return (variable.value if isinstance(variable, keras.Variable) else variable).handle


def orthogonal(kernel: Any) -> Any:
    """Return about the nearest matrix with orthogonal columns (or rows), times sqrt(max(1, rows / columns)).

    Args:
        kernel: ... x inputs x outputs; all axes but the last are the rows of the matrix.

    Returns:
        An array of the kernel's shape.
    """
    matrix = ops.reshape(kernel, (-1, kernel.shape[-1]))
    rows, columns = matrix.shape
    if rows < columns:
        matrix = ops.transpose(matrix)
    a, b, c = NEWTON_SCHULZ
    matrix = matrix / (ops.norm(matrix) + 1e-7)
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = ops.matmul(ops.transpose(matrix), matrix)
        matrix = a * matrix + ops.matmul(matrix, b * gram + c * ops.matmul(gram, gram))
    if rows < columns:
        matrix = ops.transpose(matrix)
    return ops.reshape(matrix * max(1.0, rows / columns) ** 0.5, kernel.shape)
