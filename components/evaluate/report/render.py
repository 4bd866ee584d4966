"""Texts of an evaluation: self-contained HTML report, Markdown summary, model card."""

import base64
from collections.abc import Callable, Sequence
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from components.common.model.training_record import Training
from components.common.plan.training import TUTORIAL_ACCURACY
from components.evaluate.evaluation import Evaluation
from components.evaluate.profile import Profile
from components.evaluate.report.panel import Panel, ReportData
from components.evaluate.report.theme import Rendered
from components.evaluate.report.tiles import certainty, headline_tiles, interval
from components.evaluate.robustness import mean_robustness

Row = tuple[str, list[str]]

RELATIONS = {"better": "better than", "equivalent": "equivalent to", "worse": "worse than"}


def headline(evaluation: Evaluation) -> str:
    """Return the decision in one line."""
    candidate, champion = f"the {evaluation.candidate} model", evaluation.champion
    if evaluation.decision.action == "register":
        if champion is None:
            return f"Register {candidate} as the first champion"
        relation = RELATIONS[champion.comparison.verdict]
        return f"Register {candidate}: it is {relation} champion v{champion.version}"
    if champion is None or evaluation.candidate_metrics.accuracy < evaluation.min_accuracy:
        return f"Register nothing: {candidate} is below the minimum accuracy"
    verdict = "worse" if champion.comparison.verdict == "worse" else "equivalent but less accurate"
    return f"Keep champion v{champion.version}: {candidate} is {verdict}"


def metric_rows(evaluation: Evaluation) -> list[Row]:
    """Return each metric's name, and its values for baseline, tuned model and champion, if there is one."""
    models = [evaluation.baseline, evaluation.tuned]
    if evaluation.champion:
        models.append(evaluation.champion.metrics)
    rows = [("Test accuracy", [f"{model.accuracy:.4f}" for model in models])]
    if evaluation.dataset.name == "mnist":
        differences = [
            f"{model.accuracy - TUTORIAL_ACCURACY:+.4f}".replace("-", "\N{MINUS SIGN}") for model in models
        ]
        rows.append((f"Against the tutorial's {TUTORIAL_ACCURACY}", differences))
    return [
        *rows,
        ("95% interval", [interval(model) for model in models]),
        *seed_rows(evaluation),
        ("Mistakes", [f"{model.errors:,} of {model.examples:,}" for model in models]),
        ("Test loss (negative log likelihood)", [f"{model.loss:.4f}" for model in models]),
        ("Brier score", [f"{model.reliability.brier:.5f}" for model in models]),
        ("Expected calibration error", [f"{model.reliability.ece:.4f}" for model in models]),
        ("Macro F1", [f"{model.macro_f1:.4f}" for model in models]),
        ("Macro AUC", [f"{model.macro_auc:.5f}" for model in models]),
    ]


def seed_rows(evaluation: Evaluation) -> list[Row]:
    """Return mean and standard deviation over the seeds, for configurations that were trained with several seeds."""
    if evaluation.tuned_seeds is None:
        return []
    models = [evaluation.baseline_seeds, evaluation.tuned_seeds, *([None] if evaluation.champion else [])]
    return [
        (
            f"{split.capitalize()} accuracy over {len(evaluation.tuned_seeds.seeds)} seeds",
            [seeds.stated(split) if seeds else "\N{EN DASH}" for seeds in models],
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
        row("Mean accuracy on damaged images", lambda one: f"{mean_robustness(one.robustness):.4f}"),
        row("Parameters", lambda one: f"{one.cost.parameters:,}"),
        row("File size", lambda one: f"{one.cost.size / 1e6:.2f} MB"),
        row("Operations an image", lambda one: f"{one.cost.flops / 1e6:.2f} MFLOP"),
        row("Latency, batch of 1", lambda one: f"{one.cost.latency_1:.2f} ms"),
        row("Latency, batch of 256", lambda one: f"{one.cost.latency_256:.1f} ms"),
        row("Images per second", lambda one: f"{256_000 / one.cost.latency_256:,.0f}"),
    ]


def comparison_rows(evaluation: Evaluation) -> list[Row]:
    """Return for each pair of models the two discordant counts, p and the verdict."""
    pairs = [("Tuned model against baseline", evaluation.tuned_against_baseline)]
    if champion := evaluation.champion:
        against_champion = f"{evaluation.candidate.capitalize()} model against champion v{champion.version}"
        pairs.insert(0, (against_champion, champion.comparison))
    return [
        (models, [str(pair.only_candidate_right), str(pair.only_reference_right), pair.p, pair.verdict])
        for models, pair in pairs
    ]


def training_rows(baseline: Training, tuned: Training) -> list[Row]:
    """Return results, speed and configuration of both trainings."""
    trainings = (baseline, tuned)
    rows: list[tuple[str, Sequence[object]]] = [
        ("validation accuracy", [f"{training.validation_accuracy:.4f}" for training in trainings]),
        ("parameters", [f"{training.parameters:,}" for training in trainings]),
        ("training time", [f"{training.seconds:.0f} s" for training in trainings]),
        ("images per second", [f"{training.images_per_second:,.0f}" for training in trainings]),
        ("recipe", [training.recipe for training in trainings]),
        ("seed", [training.seed for training in trainings]),
    ]
    options = (baseline.config | tuned.config).keys() - {"seed"}
    rows += [
        (option, [training.config.get(option, "") for training in trainings]) for option in sorted(options)
    ]
    return [(name, [_plain(value) for value in values]) for name, values in rows]


def _plain(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def render_report(data: ReportData, drawn: list[tuple[Panel, Rendered]]) -> str:
    """Render the HTML report; each figure is inlined twice, for a light and for a dark page."""
    evaluation = data.evaluation
    return _fill(
        "report.html",
        evaluation,
        figures=[(panel, _data_uri(rendered.light), _data_uri(rendered.dark)) for panel, rendered in drawn],
        tiles=headline_tiles(evaluation),
        comparisons=comparison_rows(evaluation),
        profiles=profile_rows(evaluation),
        trainings=training_rows(data.baseline, data.tuned),
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
        profiles=profile_rows(evaluation),
        configuration=[(name, _plain(value)) for name, value in sorted(training.config.items())],
    )


def _data_uri(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()


def _fill(template: str, evaluation: Evaluation, **values: object) -> str:
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return templates.get_template(template).render(
        evaluation=evaluation,
        candidate=evaluation.candidate_metrics,
        headline=headline(evaluation),
        certainty=certainty(evaluation),
        models=["baseline", "tuned"] + (["champion"] if evaluation.champion else []),
        metrics=metric_rows(evaluation),
        **values,
    )
