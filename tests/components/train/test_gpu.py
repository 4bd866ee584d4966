import pytest
import tensorflow as tf

from components.common.errors import PipelineError
from components.train.gpu import require_gpus


def test_the_gpus_that_are_there_are_enough() -> None:
    require_gpus(str(len(tf.config.list_physical_devices("GPU"))), "nvidia.com/gpu")
    require_gpus("0", "nvidia.com/gpu")


def test_gpus_that_are_missing_are_refused() -> None:
    visible = len(tf.config.list_physical_devices("GPU"))

    with pytest.raises(PipelineError) as refused:
        require_gpus(str(visible + 1), "nvidia.com/gpu")

    assert str(refused.value) == (
        f"the step asks for {visible + 1} nvidia.com/gpu but TensorFlow sees {visible} GPUs: "
        "check the image and the node pool, or set gpu_count=0."
    )
