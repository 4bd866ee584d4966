"""Tables of the report by rows, and of MLflow by columns."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from components.common.model.training_record import Training
from components.common.plan.training import TUTORIAL_ACCURACY
from components.evaluate.intervals import Interval
from components.evaluate.metrics import UNKNOWN, ClassMetrics, Metrics
from components.evaluate.profile import Profile
from components.evaluate.report.tiles import MINUS, interval
from components.evaluate.result import Evaluation
from components.evaluate.robustness import mean_robustness

# Number of classes that are listed by number, and number of those that are listed of more.
MOST_BY_NUMBER = 20
MOST_LISTED = 50

DASH = "\N{EN DASH}"

# A row's name, and its values by column.
Row = tuple[str, list[str]]
# A table's columns by name.
Table = dict[str, list[Any]]


def metric_rows(evaluation: Evaluation) -> list[Row]:
    """Return each metric's name, and its values for the models of the evaluation."""
    models = list(evaluation.models.values())
    over = evaluation.candidate_metrics.over
    rows = [("Test accuracy", [f"{model.accuracy:.4f}" for model in models])]
    if evaluation.dataset.name == "mnist":
        differences = [f"{model.accuracy - TUTORIAL_ACCURACY:+.4f}".replace("-", MINUS) for model in models]
        rows.append((f"Against the tutorial's {TUTORIAL_ACCURACY}", differences))
    return [
        *rows,
        ("95% interval", [interval(model) for model in models]),
        *seed_rows(evaluation),
        ("Mistakes", [f"{model.errors:,} of {model.examples:,}" for model in models]),
        ("Test loss (negative log likelihood)", [f"{model.loss:.4f}" for model in models]),
        ("Brier score", [f"{model.reliability.brier:.5f}" for model in models]),
        (
            "Expected calibration error",
            [ranged(model.reliability.ece, model.reliability.ece_interval) for model in models],
        ),
        (
            "The same if perfectly calibrated: mean, 95% bound",
            [
                f"{model.reliability.ece_by_chance:.4f}, {model.reliability.ece_by_chance_bound:.4f}"
                for model in models
            ],
        ),
        (
            f"Balanced accuracy{over}",
            [ranged(model.balanced_accuracy, model.balanced_accuracy_interval) for model in models],
        ),
        (f"Macro F1{over}", [ranged(model.macro_f1, model.macro_f1_interval) for model in models]),
        (f"Macro AUC{over}", [ranged(model.macro_auc, model.macro_auc_interval, 5) for model in models]),
    ]


def ranged(value: float | None, interval: Interval | None, places: int = 4) -> str:
    """Return a figure and its interval as text; a dash where the test split cannot tell it."""
    if value is None:
        return DASH
    if interval is None:
        return f"{value:.{places}f}"
    low, high = interval
    return f"{value:.{places}f} ({low:.{places}f}{DASH}{high:.{places}f})"


def seed_rows(evaluation: Evaluation) -> list[Row]:
    """Return mean and standard deviation over the seeds, for configurations that were trained with several seeds."""
    if evaluation.tuned_seeds is None:
        return []
    found = {"baseline": evaluation.baseline_seeds, "tuned": evaluation.tuned_seeds}
    models = [found.get(model) for model in evaluation.models]
    return [
        (
            f"{split.capitalize()} accuracy over {len(evaluation.tuned_seeds.seeds)} seeds",
            [seeds.stated(split) if seeds else DASH for seeds in models],
        )
        for split in ("test", "validation")
    ]


def profile_rows(evaluation: Evaluation) -> list[Row]:
    """Return each measure's name, and its values for candidate and champion, if there is one."""
    profiles = [evaluation.profile]
    if evaluation.champion_profile:
        profiles.append(evaluation.champion_profile)

    def row(name: str, value: Callable[[Profile], str]) -> Row:
        return name, [value(profile) for profile in profiles]

    return [
        row("Mean accuracy on corrupted images", lambda one: f"{mean_robustness(one.robustness):.4f}"),
        row("Parameters", lambda one: f"{one.cost.parameters:,}"),
        row("File size", lambda one: f"{one.cost.size / 1e6:.2f} MB"),
        row("Operations an image", lambda one: f"{one.cost.flops / 1e6:.2f} MFLOP"),
        row("Latency, batch of 1", lambda one: f"{one.cost.latency_1:.2f} ms"),
        row("Latency, batch of 256", lambda one: f"{one.cost.latency_256:.1f} ms"),
        row("Images per second", lambda one: f"{256_000 / one.cost.latency_256:,.0f}"),
    ]


def shown_classes(metrics: Metrics) -> list[ClassMetrics]:
    """Return the classes that the report lists: all by number, or of many those with the lowest F1, lowest first."""
    if len(metrics.classes) <= MOST_BY_NUMBER:
        return metrics.classes
    # Those without test images, of which nothing is known, come last.
    return sorted(metrics.classes, key=lambda entry: math.inf if entry.f1 is None else entry.f1)[:MOST_LISTED]


def comparison_rows(evaluation: Evaluation) -> list[Row]:
    """Return for each pair of models the two discordant counts, p and the verdict."""
    pairs = [] if evaluation.kept else [("Tuned model against baseline", evaluation.tuned_against_baseline)]
    if champion := evaluation.champion:
        against_champion = f"{evaluation.candidate.capitalize()} model against champion v{champion.version}"
        pairs.insert(0, (against_champion, champion.comparison))
    return [
        (models, [str(pair.only_candidate_right), str(pair.only_reference_right), pair.p, pair.verdict])
        for models, pair in pairs
    ]


def training_rows(*trainings: Training) -> list[Row]:
    """Return results, speed and configuration of the trainings."""
    rows: list[tuple[str, Sequence[object]]] = [
        ("validation accuracy", [f"{training.validation_accuracy:.4f}" for training in trainings]),
        ("parameters", [f"{training.parameters:,}" for training in trainings]),
        ("training time", [f"{training.seconds:.0f} s" for training in trainings]),
        ("images per second", [f"{training.images_per_second:,.0f}" for training in trainings]),
        ("recipe", [training.recipe for training in trainings]),
        ("seed", [training.seed for training in trainings]),
    ]
    options = {option for training in trainings for option in training.config} - {"seed"}
    rows += [
        (option, [training.config.get(option, "") for training in trainings]) for option in sorted(options)
    ]
    return [(name, [_plain(value) for value in values]) for name, values in rows]


def configuration_rows(training: Training) -> list[tuple[str, str]]:
    """Return name and value of each training option."""
    return [(name, _plain(value)) for name, value in sorted(training.config.items())]


def _plain(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def candidate_tables(evaluation: Evaluation) -> dict[str, Table]:
    """Return the tables for MLflow by name, in columns; a table without rows is left out."""
    metrics, names = evaluation.candidate_metrics, evaluation.spec.classes
    found = {
        "classes": _columns([_class_row(evaluation, label) for label in range(len(metrics.classes))]),
        "confused_pairs": _columns(
            [
                vars(pair) | {"truth": names[pair.truth], "predicted": names[pair.predicted]}
                for pair in metrics.confused_pairs()
            ]
        ),
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
    figures = {
        "precision": (entry.precision, entry.precision_interval),
        "recall": (entry.recall, entry.recall_interval),
        "f1": (entry.f1, entry.f1_interval),
        "auc": (roc.auc, roc.auc_interval) if roc else UNKNOWN,
    }
    row: dict[str, Any] = {"class": evaluation.spec.classes[label], "label": label}
    for name, (value, bounds) in figures.items():
        low, high = bounds or UNKNOWN
        row |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return row | {"average_precision": pr.average_precision if pr else None, "images": entry.support}


def _columns(rows: list[dict[str, Any]]) -> Table:
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}
