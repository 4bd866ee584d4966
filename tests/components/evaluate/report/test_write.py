import json
from dataclasses import replace
from pathlib import Path

from components.common.model.exchange import EXCHANGE, Exchange
from components.common.model.training_record import Training
from components.evaluate.compare import compare_counts
from components.evaluate.report.tiles import certainty, headline_tiles
from components.evaluate.result import Evaluation


def test_the_model_card_states_data_recipe_metrics_limits_and_lineage(
    evaluated: tuple[Evaluation, Path],
) -> None:
    evaluation, target = evaluated
    card = (target / "model_card.md").read_text()
    training = Training.load(target.with_name("candidate"))

    for stated in (
        evaluation.dataset.digest,
        training.dataset.digest,
        training.weights_digest,
        "| filters | 1, 2 |",
        "| 95% interval |",
        f"{evaluation.calibration.temperature:.4f}",
        f"{evaluation.selective.threshold:.4f}",
        "contrast of 0.1 of the original leaves",
        "| git sha | 0123abc |",
    ):
        assert stated in card
    assert "\n\n\n" not in card
    exchange = Exchange.load(target.with_name("candidate") / EXCHANGE)
    assert exchange.images
    assert exchange == evaluation.exchange == Evaluation.load(target).exchange
    assert exchange.summary in card


def test_tables_are_what_mlflow_shows(evaluated: tuple[Evaluation, Path]) -> None:
    evaluation, target = evaluated

    classes = json.loads((target / "tables/classes.json").read_text())

    assert len(classes["data"]) == 10
    assert all(len(row) == len(classes["columns"]) for row in classes["data"])
    recall = [row[classes["columns"].index("recall")] for row in classes["data"]]
    assert recall == [entry.recall for entry in evaluation.candidate_metrics.classes]


def test_a_worn_test_split_explains_why_better_is_not_enough(evaluated: tuple[Evaluation, Path]) -> None:
    evaluation, _ = evaluated
    assert evaluation.champion is not None
    worn = replace(evaluation.champion, comparison=compare_counts(60, 35, 10_000), decision=5)
    kept = evaluation.model_copy(update={"champion": worn})

    assert "decision 5 on this test split, and of several candidates one looks better by luck" in certainty(
        kept
    )
    assert "so p has to be below 0.002" in certainty(kept)
    fresh = kept.model_copy(update={"champion": replace(worn, decision=1)})
    assert "on this test split" not in certainty(fresh)


def test_the_first_screen_says_how_sure_the_verdict_is(evaluated: tuple[Evaluation, Path]) -> None:
    evaluation, _ = evaluated
    assert evaluation.champion is not None
    paired = evaluation.champion.comparison

    assert certainty(evaluation).startswith(
        f"On these images the accuracies differ by +{paired.difference * 100:.2f} points; the true difference lies"
    )
    assert "Chance alone hardly makes so much." in certainty(evaluation)
    assert "p below 0.0001" in certainty(evaluation)
    found = {tile.name: tile for tile in headline_tiles(evaluation)}
    assert found["Gain, in points"].note == "better, p below 0.0001"
    assert f"champion {evaluation.champion.metrics.accuracy:.4f}" in found["Test accuracy"].note
