import pytest
import tensorflow as tf

from components.train import precision
from components.train.precision import dtype_policy


@pytest.mark.parametrize(("named", "policy"), [("float32", "float32"), ("bfloat16", "mixed_bfloat16")])
def test_a_named_precision_is_taken(named: str, policy: str) -> None:
    assert dtype_policy(named) == policy


@pytest.mark.parametrize(
    ("on_gpu", "on_cpu", "policy"),
    [
        (False, False, "float32"),
        (False, True, "mixed_bfloat16"),
        (True, False, "mixed_bfloat16"),
    ],
)
def test_auto_takes_bfloat16_where_it_is_native(
    on_gpu: bool, on_cpu: bool, policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: ["GPU:0"] if on_gpu else [])
    monkeypatch.setattr(precision, "cpu_has_bfloat16", lambda: on_cpu)

    assert dtype_policy("auto") == policy
