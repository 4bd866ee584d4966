from pathlib import Path

import pytest
import tensorflow as tf

from components.common.errors import PipelineError
from components.train import devices
from components.train.devices import (
    cpu_has_bfloat16,
    dtype_policy,
    onednn_is_decided,
    require_gpus,
    shards_of,
    visible_gpus,
)


def test_the_gpus_that_are_there_are_enough() -> None:
    require_gpus(visible_gpus())
    require_gpus(0)


def test_gpus_that_are_missing_are_refused() -> None:
    visible = visible_gpus()

    with pytest.raises(PipelineError) as refused:
        require_gpus(visible + 2)

    assert str(refused.value) == (
        f"the step asks for {visible + 2} GPUs but TensorFlow sees {visible}: "
        "check the image and the node pool, or set gpu_count=0."
    )


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
    monkeypatch.setattr(
        tf.config.experimental, "get_device_details", lambda _: {"compute_capability": (8, 0)}
    )
    monkeypatch.setattr(devices, "cpu_has_bfloat16", lambda: on_cpu)

    assert dtype_policy("auto") == policy


def test_a_gpu_without_bfloat16_computes_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: ["GPU:0"])
    monkeypatch.setattr(
        tf.config.experimental, "get_device_details", lambda _: {"compute_capability": (7, 5)}
    )
    monkeypatch.setattr(devices, "cpu_has_bfloat16", lambda: True)

    assert dtype_policy("auto") == "float32"


@pytest.mark.parametrize("variable", ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"])
@pytest.mark.parametrize(
    ("named", "native"),
    [("avx512_core", False), ("AVX2", False), ("AVX512_CORE_BF16", True), ("ALL", True), ("", True)],
)
def test_onednn_without_bfloat16_counts_as_a_processor_without(
    variable: str, named: str, native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "_cpu_has", lambda *_: True)
    monkeypatch.setenv(variable, named)

    assert cpu_has_bfloat16() is native


@pytest.mark.parametrize(
    ("cores", "batch_size", "shards"),
    [(1, 256, 1), (2, 256, 2), (2, 64, 1), (2, 129, 1), (8, 256, 4), (3, 256, 2), (6, 384, 6)],
)
def test_a_batch_is_split_evenly_and_not_too_small(
    cores: int, batch_size: int, shards: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", str(cores))

    assert shards_of(batch_size) == shards


@pytest.mark.parametrize(
    ("set_to", "flags", "decided"),
    [("", "fma avx2", False), ("", "fma avx512_vnni", True), ("0", "fma avx2", True)],
)
def test_onednn_is_decided_by_the_variable_or_the_processor(
    set_to: str, flags: str, decided: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", set_to)
    monkeypatch.setattr(Path, "read_text", lambda _: f"flags\t: {flags}\n")

    assert onednn_is_decided() is decided
