import keras
import numpy as np

from components.train.weights import weights_digest


def _model(kernel: list[list[float]], dtype: str = "float32") -> keras.Model:
    dense = keras.layers.Dense(len(kernel[0]), use_bias=False, dtype=dtype)
    model = keras.Sequential([keras.Input((len(kernel),)), dense])
    dense.set_weights([np.array(kernel)])
    return model


def test_equal_weights_have_equal_digests() -> None:
    assert weights_digest(_model([[1, 2], [3, 4]])) == weights_digest(_model([[1, 2], [3, 4]]))


def test_values_order_shape_and_type_are_told_apart() -> None:
    models = [
        _model([[1, 2], [3, 4]]),
        _model([[1, 2], [3, 4.000001]]),
        _model([[1, 3], [2, 4]]),
        _model([[1, 2, 3, 4]]),
        _model([[1], [2], [3], [4]]),
        _model([[1, 2], [3, 4]], dtype="float64"),
    ]

    assert len({weights_digest(model) for model in models}) == len(models)
