"""Rules for the machines that a task asks for."""

from components.common.errors import PipelineError


def parse_gpu_count(text: str) -> int:
    """Return the number of GPUs that the pipeline's parameter `gpu_count` asks for.

    The parameter is text, because Kubeflow asks for no GPU at all where it is a number.

    Raises:
        PipelineError: Not a whole number.
    """
    if not (text.isascii() and text.isdecimal()):
        raise PipelineError(f"gpu_count must be a whole number but got {text!r}.")
    return int(text)
