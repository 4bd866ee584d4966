"""Addresses in messages: `shown` takes out of each what grants access."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Names of what may hold a password or a signature.
ADDRESSES = ("tracking_uri", "endpoint_url", "endpoint", "data_uri", "optuna_storage", "docker_host", "host")
# Where such a name is no address of a user's: a text for people that holds it.
ALLOWED = {
    # It is `shown` when it is set.
    "components/common/storage/object_store.py": {"self.endpoint"},
    # Names and addresses of machines.
    "components/common/storage/public_adapter.py": {"host"},
    "pipelines/cli/serve.py": {"host"},
    "pipelines/models/connections.py": {"host"},
}


def _named(node: ast.expr) -> str:
    """Return the name of a value, or of the text that it is a part of, as `host` in `host.split("@")[-1]`."""
    while isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return _named(node.func.value)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def messages_with_addresses(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and expression of each address that stands in a text with a blank as it is.

    What has no blank is a request's address.
    """
    for text in ast.walk(ast.parse(source)):
        if not isinstance(text, ast.JoinedStr):
            continue
        constants = "".join(str(part.value) for part in text.values if isinstance(part, ast.Constant))
        if " " not in constants:
            continue
        for part in text.values:
            if isinstance(part, ast.FormattedValue) and _named(part.value) in ADDRESSES:
                yield part.lineno, ast.unparse(part.value)


def test_messages_show_no_address_as_it_is() -> None:
    found = []
    for path in sorted([*ROOT.glob("components/**/*.py"), *ROOT.glob("pipelines/**/*.py")]):
        name = str(path.relative_to(ROOT))
        for line, expression in messages_with_addresses(path.read_text()):
            if expression not in ALLOWED.get(name, ()):
                found.append(f"{name}:{line} {expression}")
    assert not found, f"wrap with components.common.storage.address.shown: {found}"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('f"no server at {tracking_uri}"', ["tracking_uri"]),
        ('f"no server at {settings().mlflow.tracking_uri}: start it"', ["settings().mlflow.tracking_uri"]),
        ('f"no server at {shown(tracking_uri)}"', []),
        ('f"{tracking_uri}/api"', []),
        ('f"no storage at {optuna_storage.split(1)[-1]!r}"', ["optuna_storage.split(1)[-1]"]),
    ],
)
def test_an_address_in_a_message_is_found(source: str, found: list[str]) -> None:
    assert [expression for _, expression in messages_with_addresses(source)] == found
