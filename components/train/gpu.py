"""The check that a task which asked for GPUs has them."""

from components.common.errors import PipelineError


def gpus(count: str) -> int:
    """Return the number of GPUs; it is text up to here, because Kubeflow asks for none where the parameter is a number.

    Raises:
        PipelineError: Not a whole number.
    """
    if not (count.isascii() and count.isdecimal()):
        raise PipelineError(f"gpu_count must be a whole number but got {count!r}.")
    return int(count)


def require_gpus(count: str, resource: str) -> None:
    """Refuse to train on the processor when GPUs were asked for.

    Args:
        count: GPUs that the task asked for, "0" for none.
        resource: Kubernetes resource name, such as nvidia.com/gpu.
    """
    if not (asked := gpus(count)):
        return
    import tensorflow as tf

    visible = len(tf.config.list_physical_devices("GPU"))
    if visible < asked:
        raise PipelineError(
            f"the step asks for {count} {resource} but TensorFlow sees {visible} GPUs: "
            "check the image and the node pool, or set gpu_count=0."
        )
