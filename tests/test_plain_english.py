"""Rules for the English of docstrings and error messages."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("benchmarks", "components", "pipelines")
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
# First words of questions and of clauses.
NO_NOUN = {"are", "do", "does", "how", "is", "what", "when", "where", "which", "who", "why"}


@pytest.fixture(scope="module")
def trees() -> dict[str, ast.Module]:
    """Syntax trees of all modules, by path."""
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text()) for path in FILES}


def test_a_modules_docstring_starts_with_a_noun_phrase(trees: dict[str, ast.Module]) -> None:
    docstrings = {path: ast.get_docstring(tree) or "Empty." for path, tree in trees.items()}
    report(f"{path}: {_first_line(text)}" for path, text in docstrings.items() if not is_noun_phrase(text))


def test_an_error_message_ends_with_a_full_stop(trees: dict[str, ast.Module]) -> None:
    report(
        f"{path}:{line}: {text}"
        for path, tree in trees.items()
        for line, text in error_messages(tree)
        if not text.endswith(".")
    )


def test_docstrings_use_single_backticks(trees: dict[str, ast.Module]) -> None:
    report(
        f"{path}: {_first_line(text)}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, DOCUMENTED) and "``" in (text := ast.get_docstring(node) or "")
    )


def report(offenders: Iterable[str]) -> None:
    """Fail with one line per offender."""
    if found := list(offenders):
        pytest.fail("\n".join(found), pytrace=False)


def _first_line(docstring: str) -> str:
    return docstring.partition("\n")[0]


def is_noun_phrase(docstring: str) -> bool:
    """Return whether the first sentence is no question and no clause, as far as its first word shows."""
    first_word = docstring.split(maxsplit=1)[0].strip("`,;:.").lower()
    first_sentence = docstring.partition(". ")[0].partition("\n\n")[0]
    return first_word not in NO_NOUN and "?" not in first_sentence


def error_messages(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and last part of each `PipelineError` message; computed messages are skipped.

    The last part is text, or the source of a placeholder where the message ends in one.
    """
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and node.args):
            continue
        if getattr(node.func, "id", getattr(node.func, "attr", "")) != "PipelineError":
            continue
        message = node.args[0]
        last = message.values[-1] if isinstance(message, ast.JoinedStr) else message
        if isinstance(last, ast.Constant) and isinstance(last.value, str):
            yield node.lineno, last.value
        elif isinstance(last, ast.FormattedValue):
            yield node.lineno, ast.unparse(last)


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        ("Sources of images.", True),
        ("`mnist-pipeline models`: commands.", True),
        ("What runs the steps.", False),
        ("Is the data fit? Checks.", False),
        ("The data, fit or not?", False),
        ("Checks. Are they of use?", True),
    ],
)
def test_questions_and_clauses_are_no_noun_phrases(docstring: str, expected: bool) -> None:
    assert is_noun_phrase(docstring) is expected


def test_the_end_of_a_message_is_found_in_joined_and_formatted_literals() -> None:
    source = """
raise PipelineError("one")
raise errors.PipelineError("a " f"{b} c.")
raise PipelineError(f"ends in {value}")
raise PipelineError(built())
raise ValueError("other")
"""
    assert list(error_messages(ast.parse(source))) == [(2, "one"), (3, " c."), (4, "{value}")]
