"""The check that a task which asked for GPUs has them."""

from components.common.errors import PipelineError


def require_gpus(count: int, resource: str) -> None:
    """Refuse to train on the processor when GPUs were asked for.

    Args:
        count: GPUs that the task asked for, 0 for none.
        resource: Kubernetes resource name, such as nvidia.com/gpu.
    """
    if not count:
        return
    import tensorflow as tf

    visible = len(tf.config.list_physical_devices("GPU"))
    if visible < count:
        raise PipelineError(
            f"the step asks for {count} {resource} but TensorFlow sees {visible} GPUs: "
            "check the image and the node pool, or set gpu_count=0."
        )
