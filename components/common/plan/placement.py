"""Rule for the GPUs that a task asks for."""

from components.common.errors import PipelineError


def parse_gpu_count(text: str) -> int:
    """Return the number of GPUs; it is a text because Kubeflow asks for none where the parameter is a number.

    Raises:
        PipelineError: Not a whole number.
    """
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise PipelineError(f"gpu_count must be a whole number but got {text!r}: give 0 for none.")
    return int(text)
