"""The documentation names only files, commands and options that exist."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
import typer
from typer.core import TyperGroup

from components.common.plan.resolve import option_name
from pipelines.cli.main import app
from pipelines.parameters import MONITORING, PLACEMENT
from pipelines.pods import Pods

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "findings/README.md")),
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "infra").rglob("README.md"),
    ]
)
ROOMS = ("components/", "pipelines/", "docker/", "infra/", "tests/", "benchmarks/", "docs/")
# Files that exist only after a page was followed.
MADE_BY_THE_READER = {"infra/gitops/pipeline.yaml", "tests/components/evaluate/report/test_trust.py"}
# The option that docs/your-own-model.md adds.
OPTIONS_OF_THE_EXAMPLE = {"head", "training.head"}
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
SPAN = re.compile(r"`([^`\n]+)`")
COMMAND = re.compile(r"mnist-pipeline((?: +[a-z][a-z-]*)+)")
SET = re.compile(r"--set[= ]+['\"]?([a-z][\w.]*)=")

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def _blocks(page: Path) -> str:
    return "\n".join(block for _, block in FENCE.findall(page.read_text()))


def _prose(page: Path) -> str:
    return FENCE.sub("", page.read_text())


def _commands(page: Path) -> Iterator[list[str]]:
    """Yield the words behind `mnist-pipeline` in blocks and in backticks, up to the first that is no plain word."""
    for text in (_blocks(page), *SPAN.findall(_prose(page))):
        for line in text.splitlines():
            if not line.startswith("name: "):
                yield from (words.split() for words in COMMAND.findall(line.partition("  #")[0]))


def _unknown_part(words: list[str]) -> str | None:
    """Return the first word that should be a command but is none; arguments are not looked at."""
    command = typer.main.get_command(app)
    for word in words:
        if not isinstance(command, TyperGroup):
            return None
        if word not in command.commands:
            return word
        command = command.commands[word]
    return None


@pages
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    links = [link.partition("#")[0] for link in LINK.findall(_prose(page)) if "://" not in link]

    assert [link for link in links if link and not (page.parent / unquote(link)).exists()] == []


@pages
def test_every_path_in_backticks_exists(page: Path) -> None:
    spans = [span.partition(":")[0] for span in SPAN.findall(_prose(page)) if span.startswith(ROOMS)]
    missing = {path for span in spans for path in _patterns(span) if not list(ROOT.glob(path))}

    assert missing <= MADE_BY_THE_READER


def _patterns(path: str) -> Iterator[str]:
    """Yield the paths that a path in the text stands for: `<step>` is any name, `{a,b}.py` is a.py and b.py."""
    path = re.sub(r"<[^>]*>", "*", path.split(maxsplit=1)[0].rstrip("/"))
    if braces := re.search(r"\{([^}]*)\}", path):
        for part in braces[1].split(","):
            yield from _patterns(path.replace(braces[0], part, 1))
    else:
        yield path


@pages
def test_every_command_of_the_command_line_exists(page: Path) -> None:
    assert {word for words in _commands(page) if (word := _unknown_part(words))} == set()


@pages
def test_every_option_that_is_set_exists(page: Path) -> None:
    names = SET.findall(page.read_text())

    of_pods = Pods.model_fields.keys()
    for name in set(names) - PLACEMENT.keys() - MONITORING.keys() - of_pods - OPTIONS_OF_THE_EXAMPLE:
        option_name(name)


def test_the_changes_that_a_fork_makes_apply_to_files_of_today() -> None:
    page = ROOT / "docs" / "your-own-model.md"
    files = [ROOT / span for span in SPAN.findall(_prose(page)) if span.startswith(ROOMS)]
    lines = {line for file in files if file.is_file() for line in file.read_text().splitlines()}
    expected = [
        line[1:]
        for kind, block in FENCE.findall(page.read_text())
        if kind == "diff"
        for line in block.splitlines()
        if not line.startswith("+")
    ]

    assert len(expected) > 3
    assert set(expected) <= lines


def test_the_checks_find_what_they_look_for() -> None:
    assert _unknown_part(["models", "promote", "champion"]) is None
    assert _unknown_part(["models", "crown"]) == "crown"
    assert _unknown_part(["fly"]) == "fly"
    assert SET.findall("--set 'search.space={}' --set=gpu_count=1 --set epochs=2") == [
        "search.space",
        "gpu_count",
        "epochs",
    ]
    assert sum(len(list(_commands(page))) for page in PAGES) > 20


def test_every_finding_is_listed() -> None:
    listed = LINK.findall((ROOT / "findings/README.md").read_text())
    assert listed == sorted(path.name for path in (ROOT / "findings").glob("*.sh"))
