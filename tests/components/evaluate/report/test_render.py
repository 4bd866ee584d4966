import re
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from components.evaluate.compare import compare_counts
from components.evaluate.gate import Decision
from components.evaluate.report.tables import metric_rows
from components.evaluate.report.tiles import headline
from components.evaluate.result import DatasetReference, Evaluation


@pytest.fixture
def html(evaluated: tuple[Evaluation, Path]) -> str:
    return (evaluated[1] / "report.html").read_text()


def test_is_self_contained(html: str) -> None:
    assert not re.search(r"(?i)https?://|url\(|@import|<link|<script|<iframe", html)
    sources = re.findall(r'(?:src|srcset)="([^"]{10})', html)
    assert sources
    assert all(link.startswith("#") for link in re.findall(r'href="([^"]*)"', html))
    assert set(sources) == {"data:image"}
    assert len(html.encode()) < 3_000_000


def test_escapes_what_it_is_given(html: str) -> None:
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_markdown_shows_as_text_what_would_be_markup(evaluated: tuple[Evaluation, Path]) -> None:
    _, target = evaluated
    texts = [(target / name).read_text() for name in ("model_card.md", "summary.md")]
    assert r"\<script\>alert(1)\</script\>" in texts[0]
    assert not any(re.search(r"(?<!\\)[<>]", text) for text in texts)


def test_states_decision_data_and_lineage(html: str, evaluated: tuple[Evaluation, Path]) -> None:
    evaluation, _ = evaluated
    text = html.replace("&#39;", "'")

    for stated in (*evaluation.decision.reasons, evaluation.dataset.digest, "d" * 64, "0123abc", "1, 2"):
        assert stated in text


def test_every_figure_has_words(html: str) -> None:
    images = re.findall(r"<img [^>]*>", html)

    assert len(images) == 12
    assert "There is no Grad-CAM" not in html
    assert all(len(re.findall(r'alt="([^"]{20,})"', image)) == 1 for image in images)
    assert html.count("<caption>") == html.count("<table")


def test_summary_is_short_and_says_why(evaluated: tuple[Evaluation, Path]) -> None:
    evaluation, target = evaluated
    summary = (target / "summary.md").read_text()

    assert summary.startswith("## Register the tuned model: it is better than champion v3\n")
    assert all(f"- {reason}\n" in summary for reason in evaluation.decision.reasons)
    assert "|---|---|---|---|\n| Test accuracy |" in summary
    assert len(summary.splitlines()) < 25


@pytest.mark.parametrize(
    ("action", "accuracy", "discordant", "expected"),
    [
        ("register", 0.9, (9, 1), "Register the tuned model: it is better than champion v3"),
        ("register", 0.9, (2, 2), "Register the tuned model: it is not shown to differ from champion v3"),
        ("register", 0.9, None, "Register the tuned model as the first champion"),
        ("keep", 0.9, (1, 9), "Keep champion v3: the tuned model is worse than it"),
        ("keep", 0.9, (1, 2), "Keep champion v3: the tuned model is not shown to differ from it"),
        (
            "keep",
            0.9,
            (9, 1),
            "Keep champion v3: the tuned model looks better, but not by enough for decision 1 on this test split",
        ),
        ("keep", 0.7, (9, 1), "Register nothing: the tuned model is below the minimum accuracy"),
        ("keep", 0.7, None, "Register nothing: the tuned model is below the minimum accuracy"),
    ],
)
def test_headline(
    evaluated: tuple[Evaluation, Path],
    action: Literal["register", "keep"],
    accuracy: float,
    discordant: tuple[int, int] | None,
    expected: str,
) -> None:
    evaluation, _ = evaluated
    champion = evaluation.champion
    assert champion is not None

    judged = evaluation.model_copy(
        update={
            "tuned": replace(evaluation.tuned, accuracy=accuracy),
            "champion": replace(champion, comparison=compare_counts(*discordant, 300))
            if discordant
            else None,
            "decision": Decision(action, "first", []),
        }
    )

    assert headline(judged) == expected


def test_mnist_stands_beside_the_tutorial(evaluated: tuple[Evaluation, Path]) -> None:
    evaluation, _ = evaluated
    of_mnist = evaluation.model_copy(
        update={
            "dataset": DatasetReference("mnist", "d"),
            "baseline": replace(evaluation.baseline, accuracy=0.9931),
            "tuned": replace(evaluation.tuned, accuracy=0.9915),
            "champion": None,
        }
    )

    assert dict(metric_rows(of_mnist))["Against the tutorial's 0.9926"] == ["+0.0005", "−0.0011"]  # noqa: RUF001
    assert not any("tutorial" in name for name, _ in metric_rows(evaluation))
