"""ONNX files, whose bytes are looked through before a runtime opens them."""

from collections.abc import Iterator
from pathlib import Path

from components.common.errors import PipelineError

# Names of the operators that ONNX itself defines.
STANDARD_DOMAINS = {b"", b"ai.onnx", b"ai.onnx.ml"}
# Numbers of the fields in ONNX's messages, which are not to change.
GRAPH, IMPORTS, FUNCTIONS = 7, 8, 25
NODES, INITIALIZERS, SPARSE = 1, 5, 15
DOMAIN_OF_IMPORT, DOMAIN_OF_NODE, ATTRIBUTES = 1, 7, 5
TENSORS_OF_ATTRIBUTE, GRAPHS_OF_ATTRIBUTE, SPARSE_OF_ATTRIBUTE = {5, 10}, {6, 11}, {22, 23}
EXTERNAL_DATA, DATA_LOCATION = 13, 14
VARINT, WIDE, BYTES, NARROW = 0, 1, 2, 5
# Levels of graphs within graphs.
DEEPEST = 16

Field = tuple[int, int | memoryview]


class _RefusedError(Exception):
    """A reason, as a clause."""


def check_onnx_file(content: bytes, path: Path) -> None:
    """Check that a model is of ONNX's own operators, and has all its data in its one file.

    The package `onnx` would take longer to import than a prediction takes.

    Raises:
        PipelineError: It is not, or is damaged.
    """
    try:
        _check_model(memoryview(content))
    except _RefusedError as error:
        raise PipelineError(
            f"{path} must be a readable ONNX model of standard operators in one file but is not ({error}): "
            "restore it or register it again."
        ) from None


def _check_model(model: memoryview) -> None:
    for number, value in _fields(model):
        if number == IMPORTS:
            _check_domain(value, DOMAIN_OF_IMPORT)
        elif number == GRAPH:
            _check_graph(_message(value), 0)
        elif number == FUNCTIONS:
            raise _RefusedError("it defines functions of its own")


def _check_graph(graph: memoryview, depth: int) -> None:
    if depth > DEEPEST:
        raise _RefusedError("its graphs are nested too deeply")
    for number, value in _fields(graph):
        if number == NODES:
            _check_domain(value, DOMAIN_OF_NODE)
            for part, attribute in _fields(_message(value)):
                if part == ATTRIBUTES:
                    _check_attribute(_message(attribute), depth)
        elif number == INITIALIZERS:
            _check_tensor(_message(value))
        elif number == SPARSE:
            raise _RefusedError("it has sparse weights")


def _check_attribute(attribute: memoryview, depth: int) -> None:
    for number, value in _fields(attribute):
        if number in TENSORS_OF_ATTRIBUTE:
            _check_tensor(_message(value))
        elif number in GRAPHS_OF_ATTRIBUTE:
            _check_graph(_message(value), depth + 1)
        elif number in SPARSE_OF_ATTRIBUTE:
            raise _RefusedError("it has sparse weights")


def _check_tensor(tensor: memoryview) -> None:
    if any(
        number == EXTERNAL_DATA or (number == DATA_LOCATION and value) for number, value in _fields(tensor)
    ):
        raise _RefusedError("it has weights in another file")


def _check_domain(message: int | memoryview, field: int) -> None:
    for number, value in _fields(_message(message)):
        if number == field and bytes(_message(value)) not in STANDARD_DOMAINS:
            raise _RefusedError(
                f"it has operators of {bytes(_message(value))[:50].decode(errors='replace')!r}"
            )


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise _RefusedError("it is damaged")
    return value


def _fields(message: memoryview) -> Iterator[Field]:
    """Yield number and value of each field of a Protocol Buffers message; of numbers of fixed width, 0."""
    at = 0
    while at < len(message):
        tag, at = _number(message, at)
        kind, size = tag & 7, 0
        if kind == VARINT:
            value, at = _number(message, at)
            yield tag >> 3, value
            continue
        if kind == BYTES:
            size, at = _number(message, at)
        elif kind in (WIDE, NARROW):
            size = 8 if kind == WIDE else 4
        else:
            raise _RefusedError("it is damaged")
        if at + size > len(message):
            raise _RefusedError("it ends early")
        yield tag >> 3, message[at : at + size] if kind == BYTES else 0
        at += size


def _number(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at == len(message):
            break
        byte, at = message[at], at + 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise _RefusedError("it is damaged")
