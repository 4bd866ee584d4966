"""Images in the JSON of MLflow's scoring server, checked without a copy that a request could make large."""

import json
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.common.data.spec import ImageSpec
from components.common.errors import PipelineError
from components.common.model.served_model import INPUT

KEYS = ("inputs", "instances")
KINDS = {
    frozenset({int}): "whole numbers",
    frozenset({float}): "fractions",
    frozenset({int, float}): "fractions",
    frozenset({bool}): "true and false",
    frozenset(): "nothing",
}


def parse_invocation(body: bytes, spec: ImageSpec) -> NDArray[np.uint8]:
    """Return the images of a request, uint8 N x height x width x channels.

    Args:
        body: JSON, `{"inputs": images}` or `{"instances": images}`; the images may also be `{"image": images}`, or
            rows `[{"image": image}, ...]`. They are nested lists; grey ones may lack the axis of the channel.
        spec: Description of the model's images.

    Raises:
        PipelineError: It is not such a document, or the images have another size or other values.
    """
    size = f"N x {spec.size}"
    try:
        document = json.loads(body)
    # Lists may be nested deeper than Python's stack.
    except (ValueError, RecursionError):
        raise PipelineError("the body must be JSON but cannot be parsed.") from None
    given = [key for key in KEYS if isinstance(document, dict) and key in document]
    if len(given) != 1:
        raise PipelineError(
            f'the body must be a JSON object with "inputs": images, {size}, whole numbers from 0 to 255.'
        )
    images = document[given[0]]
    if isinstance(images, Mapping):
        if images.keys() != {INPUT}:
            raise PipelineError(f'the inputs must be "{INPUT}" alone but are {len(images)} others.')
        images = images[INPUT]
    elif isinstance(images, list) and all(
        isinstance(row, Mapping) and row.keys() == {INPUT} for row in images
    ):
        images = [row[INPUT] for row in images]
    return _checked(images, spec, size)


def _checked(images: Any, spec: ImageSpec, size: str) -> NDArray[np.uint8]:
    shape, values = _flattened(images, size)
    taken = {spec.shape, spec.shape[:2]} if spec.channels == 1 else {spec.shape}
    kind = KINDS.get(frozenset(map(type, values)), "something else")
    if kind != "whole numbers" or shape[1:] not in taken:
        found = " x ".join(map(str, shape)) or "a single value"
        raise PipelineError(f"images must be {size} whole numbers but are {found} of {kind}.")
    try:
        pixels = bytes(values)
    except (ValueError, OverflowError):
        raise PipelineError(f"pixels must be 0 to 255 but are {_range(values)}.") from None
    return np.frombuffer(pixels, np.uint8).reshape(len(images), *spec.shape)


def _flattened(images: Any, size: str) -> tuple[tuple[int, ...], list[Any]]:
    """Return the shape of nested lists, and their values in order."""
    shape: list[int] = []
    level = [images]
    while set(map(type, level)) == {list}:
        lengths = set(map(len, level))
        if len(lengths) > 1:
            raise PipelineError(f"images must be {size} but the lists differ in length.")
        shape += lengths
        level = list(chain.from_iterable(level))
    if list in set(map(type, level)):
        raise PipelineError(f"images must be {size} but the lists differ in length.")
    return tuple(shape), level


def _range(values: Iterable[int]) -> str:
    # A number may have thousands of digits.
    least, most = (f"{min(max(value, -(10**9)), 10**9)}" for value in (min(values), max(values)))
    return f"{least} to {most}"
