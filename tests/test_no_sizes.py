"""Sizes and class counts stand in the data's description, not in the code."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Height and width, pixels and classes of MNIST, in the modules that are about MNIST and the digits.
MNIST_ONLY = {"components/common/data/spec.py", "components/ingest/digits.py", "components/ingest/emnist.py"}
SIZES = {28, 784}
MODULES = [path for room in ("components", "pipelines") for path in sorted((ROOT / room).rglob("*.py"))]


def sizes_of_mnist(source: str) -> list[str]:
    """Return the places in which Python code assumes MNIST's size or its ten classes."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and type(node.value) is int and node.value in SIZES:
            found.append(f"line {node.lineno}: {node.value}")
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name | ast.Attribute)
            and getattr(node.func, "id", getattr(node.func, "attr", ""))
            in {"range", "arange", "eye", "zeros"}
            and any(isinstance(value, ast.Constant) and value.value == 10 for value in node.args)
        ):
            found.append(f"line {node.lineno}: {ast.unparse(node)}")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_module_assumes_the_size_of_mnist(path: Path) -> None:
    if path.relative_to(ROOT).as_posix() not in MNIST_ONLY:
        assert sizes_of_mnist(path.read_text()) == []


@pytest.mark.parametrize(
    "source", ["x.reshape(28, 28)", "SIZE = 784", "for label in range(10): pass", "np.eye(10)[labels]"]
)
def test_such_an_assumption_is_found(source: str) -> None:
    assert sizes_of_mnist(source)
