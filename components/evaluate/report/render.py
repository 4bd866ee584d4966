"""Texts of an evaluation: self-contained HTML report, Markdown summary, model card."""

import re
from collections.abc import Iterable
from pathlib import Path

from markupsafe import Markup

from components.common.model.training_record import Training
from components.common.report.page import Drawn, inlined, page_templates
from components.evaluate.report.panel import ReportData
from components.evaluate.report.tables import (
    comparison_rows,
    configuration_rows,
    metric_rows,
    profile_rows,
    shown_classes,
    training_rows,
)
from components.evaluate.report.tiles import (
    certainty,
    class_order,
    headline,
    headline_tiles,
    images_in_words,
)
from components.evaluate.result import Evaluation

# What begins markup in Markdown, or ends a cell of a table.
MARKS = re.compile(r"[\\`|<>\[\]]")


def render_report(data: ReportData, drawn: list[Drawn]) -> str:
    """Render the HTML report; each figure is inlined twice, for a light and for a dark page."""
    evaluation = data.evaluation
    return _fill(
        "report.html",
        evaluation,
        figures=inlined(drawn),
        tiles=headline_tiles(evaluation),
        comparisons=comparison_rows(evaluation),
        profiles=profile_rows(evaluation),
        classes=shown_classes(evaluation.candidate_metrics),
        # Beside names, the numbers that labels have.
        numbered=evaluation.spec.classes != tuple(map(str, range(len(evaluation.spec.classes)))),
        trainings=training_rows(data.baseline, *([] if evaluation.kept else [data.tuned])),
        development_digest=data.baseline.dataset.digest,
    )


def render_summary(evaluation: Evaluation) -> str:
    """Render the decision and the metrics in a few lines of Markdown."""
    return _fill("summary.md", evaluation)


def render_model_card(evaluation: Evaluation, training: Training) -> str:
    """Render the Markdown card that is registered with the candidate."""
    return _fill(
        "model_card.md",
        evaluation,
        training=training,
        digits=evaluation.spec.pictures == "digit",
        order=class_order(evaluation.spec.classes),
        profiles=profile_rows(evaluation),
        configuration=configuration_rows(training),
    )


def _as_text(value: object) -> str:
    """Return a value as Markdown that shows it as it is: a class may be named like a tag or a link."""
    if isinstance(value, Markup):
        return value
    return MARKS.sub(r"\\\g<0>", " ".join(str(value).split("\n")))


def _cells(values: Iterable[object]) -> Markup:
    """Return values as neighbouring cells of a Markdown table."""
    return Markup(" | ".join(map(_as_text, values)))  # noqa: S704  # each is escaped


def _fill(template: str, evaluation: Evaluation, **values: object) -> str:
    markdown = template.endswith(".md")
    templates = page_templates(Path(__file__).parent / "templates", markdown=_as_text if markdown else None)
    templates.filters["cells"] = _cells
    return templates.get_template(template).render(
        evaluation=evaluation,
        candidate=evaluation.candidate_metrics,
        names=evaluation.spec.classes,
        images=images_in_words(evaluation.spec),
        headline=headline(evaluation),
        certainty=certainty(evaluation),
        models=list(evaluation.models),
        metrics=metric_rows(evaluation),
        **values,
    )
