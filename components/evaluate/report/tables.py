"""Tables of the candidate's results, in columns, as MLflow shows them."""

from typing import Any

from components.evaluate.evaluation import Evaluation

Table = dict[str, list[Any]]


def candidate_tables(evaluation: Evaluation) -> dict[str, Table]:
    """Return columns by table name; a table without rows is left out."""
    metrics = evaluation.candidate_metrics
    found = {
        "classes": _columns([_class_row(evaluation, label) for label in range(len(metrics.classes))]),
        "confused_pairs": _columns([vars(pair) for pair in metrics.confused_pairs()]),
        "reliability": _columns([vars(entry) for entry in metrics.reliability.bins]),
        "robustness": _columns(
            [
                {
                    "corruption": curve.corruption,
                    "unit": curve.unit,
                    "severity": severity,
                    "accuracy": accuracy,
                }
                for curve in evaluation.profile.robustness
                for severity, accuracy in zip(curve.severities, curve.accuracies, strict=True)
            ]
        ),
    }
    return {name: table for name, table in found.items() if table}


def _class_row(evaluation: Evaluation, label: int) -> dict[str, Any]:
    metrics = evaluation.candidate_metrics
    entry, roc, pr = metrics.classes[label], metrics.class_roc[label], metrics.class_pr[label]
    low, high = entry.recall_interval or (None, None)
    return {
        "class": label,
        "precision": entry.precision,
        "recall": entry.recall,
        "recall_low": low,
        "recall_high": high,
        "f1": entry.f1,
        "auc": roc.auc if roc else None,
        "average_precision": pr.average_precision if pr else None,
        "images": entry.support,
    }


def _columns(rows: list[dict[str, Any]]) -> Table:
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}
