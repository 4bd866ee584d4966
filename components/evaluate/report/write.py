"""Files of an evaluation's directory."""

import json
from pathlib import Path

from components.common.model.judgement import Judgement
from components.common.report.page import Drawn
from components.evaluate.report.panel import ReportData
from components.evaluate.report.render import render_model_card, render_report, render_summary
from components.evaluate.report.tables import candidate_tables

REPORT_FILE = "report.html"
SUMMARY_FILE = "summary.md"
MODEL_CARD_FILE = "model_card.md"


def write_evaluation(
    target: Path, data: ReportData, drawn: list[Drawn], candidate_files: dict[str, str]
) -> None:
    """Write evaluation, judgement, report, summary, model card, figures and tables into an empty directory.

    Args:
        target: The directory.
        data: What was found.
        drawn: The figures of it.
        candidate_files: SHA-256 of each file of the candidate, by path.
    """
    evaluation = data.evaluation
    summary = render_summary(evaluation)
    evaluation.save(target)
    _judgement(data, summary, candidate_files).save(target)
    (target / SUMMARY_FILE).write_text(summary)
    (target / MODEL_CARD_FILE).write_text(render_model_card(evaluation, data.candidate_training))
    (target / REPORT_FILE).write_text(render_report(data, drawn))
    (target / "figures").mkdir()
    for panel, rendered in drawn:
        (target / "figures" / f"{panel.name}.svg").write_bytes(rendered.light)
    (target / "tables").mkdir()
    for name, columns in candidate_tables(evaluation).items():
        rows = [list(row) for row in zip(*columns.values(), strict=True)]
        table = {"columns": list(columns), "data": rows}
        (target / "tables" / f"{name}.json").write_text(json.dumps(table))


def _judgement(data: ReportData, summary: str, candidate_files: dict[str, str]) -> Judgement:
    evaluation, champion = data.evaluation, data.evaluation.champion
    return Judgement(
        training=data.candidate_training,
        test_digest=evaluation.dataset.digest,
        candidate_files=candidate_files,
        candidate=evaluation.candidate,
        action=evaluation.decision.action,
        reasons=evaluation.decision.reasons,
        verdict=evaluation.decision.verdict,
        temperature=evaluation.calibration.temperature,
        reject_below=evaluation.selective.threshold,
        champion_version=champion.version if champion else None,
        decision=champion.decision if champion and not champion.identical else 0,
        summary=summary,
    )
