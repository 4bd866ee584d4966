"""Everything that an evaluation leaves in its directory."""

import json
from pathlib import Path

from components.common.model.training_record import Training
from components.evaluate.evaluation import Evaluation
from components.evaluate.report.panel import Panel
from components.evaluate.report.render import render_html, render_markdown, render_model_card
from components.evaluate.report.tables import tables
from components.evaluate.report.theme import render

EVALUATION_FILE = "evaluation.json"
REPORT_FILE = "report.html"
SUMMARY_FILE = "summary.md"
MODEL_CARD_FILE = "model_card.md"


def write_evaluation(
    target: Path, evaluation: Evaluation, baseline: Training, tuned: Training, panels: list[Panel]
) -> None:
    """Write evaluation, report, summary, model card, figures and tables into the empty directory `target`."""
    drawn = [(panel, render(panel.draw)) for panel in panels]
    evaluation.save(target / EVALUATION_FILE)
    (target / SUMMARY_FILE).write_text(render_markdown(evaluation))
    training = tuned if evaluation.candidate == "tuned" else baseline
    (target / MODEL_CARD_FILE).write_text(render_model_card(evaluation, training))
    (target / REPORT_FILE).write_text(render_html(evaluation, baseline, tuned, drawn))
    (target / "figures").mkdir()
    for panel, rendered in drawn:
        (target / "figures" / f"{panel.name}.png").write_bytes(rendered.png)
    (target / "tables").mkdir()
    for name, columns in tables(evaluation).items():
        rows = [list(row) for row in zip(*columns.values(), strict=True)]
        table = {"columns": list(columns), "data": rows}
        (target / "tables" / f"{name}.json").write_text(json.dumps(table))
