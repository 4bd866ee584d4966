import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from components.common.dataset import Split, write_splits
from components.common.errors import PipelineError
from components.evaluate import evaluate as module
from components.evaluate.champion import ChampionModel
from components.evaluate.evaluate import evaluate
from components.evaluate.evaluation import Evaluation
from components.evaluate.predictions import predict

MakeModel = Callable[..., Path]


def test_leaves_evaluation_report_summary_and_figures(evaluated: tuple[Evaluation, Path]) -> None:
    evaluation, target = evaluated

    assert Evaluation.load(target / "evaluation.json") == evaluation
    assert sorted(path.relative_to(target).as_posix() for path in target.rglob("*.*")) == [
        "evaluation.json",
        "figures/accuracy.png",
        "figures/confusion_matrix.png",
        "figures/learning_curves.png",
        "figures/mistakes.png",
        "figures/predictions.png",
        "figures/roc.png",
        "report.html",
        "summary.md",
    ]


def test_compares_all_models_on_the_same_images(evaluated: tuple[Evaluation, Path]) -> None:
    evaluation, _ = evaluated

    assert evaluation.champion is not None
    assert (
        evaluation.baseline.examples
        == evaluation.tuned.examples
        == evaluation.champion.metrics.examples
        == 300
    )
    assert evaluation.tuned_against_baseline.verdict == "better"
    assert evaluation.champion.comparison.verdict == "better"
    assert evaluation.decision.action == "register"


def test_headline_names_each_model_and_the_candidate(evaluated: tuple[Evaluation, Path]) -> None:
    evaluation, _ = evaluated

    headline = evaluation.headline()

    assert headline["test_accuracy"] == headline["tuned_test_accuracy"] == evaluation.tuned.accuracy
    assert headline["baseline_test_accuracy"] == evaluation.baseline.accuracy
    assert headline["champion_test_errors"] < 300


def test_selection_reads_validation_not_test(test_data: Path, make_model: MakeModel, tmp_path: Path) -> None:
    flawless = make_model(0.0, validation_accuracy=0.8)
    favourite = make_model(1.0, validation_accuracy=0.9)

    evaluation = evaluate(test_data, flawless, favourite, None, tmp_path / "out", 0.9, {})

    assert evaluation.baseline.accuracy == 1
    assert evaluation.tuned.accuracy < 0.9
    assert evaluation.candidate == "tuned"
    assert evaluation.decision.action == "keep"


def test_an_equal_and_faultless_model(
    test_data: Path, make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, target = make_model(0.0), tmp_path / "out"
    predicted: list[Path] = []

    def spy(path: Path, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        predicted.append(path)
        return predict(path, images)

    monkeypatch.setattr("components.evaluate.evaluate.predict", spy)

    evaluation = evaluate(test_data, model, model, None, target, 0.5, {})

    assert predicted == [model]
    assert evaluation.candidate == "baseline"
    assert evaluation.tuned == evaluation.baseline
    assert evaluation.tuned_against_baseline.verdict == "equivalent"
    report = (target / "report.html").read_text()
    assert "the search found no better configuration" in report
    assert "There is no mistake." in report
    assert not (target / "figures/mistakes.png").exists()


def test_an_unusable_champion_stops_the_evaluation(
    test_data: Path, make_model: MakeModel, tmp_path: Path
) -> None:
    model, champion = make_model(0.6), ChampionModel("bands-cnn", "7", tmp_path)
    (tmp_path / "model.keras").write_bytes(b"PK torn")

    with pytest.raises(PipelineError, match=r"champion bands-cnn v7 must be .* move the alias 'champion'"):
        evaluate(test_data, model, model, champion, tmp_path / "out", 0.5, {})

    assert not (tmp_path / "out").exists()


def test_a_failed_evaluation_leaves_nothing(test_data: Path, make_model: MakeModel, tmp_path: Path) -> None:
    model = make_model(0.6)

    with pytest.raises(PipelineError, match="min_accuracy"):
        evaluate(test_data, model, model, None, tmp_path / "out", 98.0, {})

    assert list(tmp_path.iterdir()) == []


def test_a_tiny_test_split(split: Split, make_model: MakeModel, tmp_path: Path) -> None:
    few = Split(split.images[:2], split.labels[:2])
    write_splits(tmp_path / "few", {"test": few}, name="bands", source="", version="", split_seed=0)

    evaluation = evaluate(tmp_path / "few", make_model(1.0), make_model(0.0), None, tmp_path / "out", 0.0, {})

    assert evaluation.baseline.examples == 2
    assert evaluation.tuned.accuracy == 1


def test_development_data_is_no_test_data(split: Split, make_model: MakeModel, tmp_path: Path) -> None:
    write_splits(tmp_path / "dev", {"train": split}, name="bands", source="", version="", split_seed=0)
    model = make_model(0.6)

    with pytest.raises(PipelineError, match="must hold the split 'test'"):
        evaluate(tmp_path / "dev", model, model, None, tmp_path / "out", 0.5, {})


def test_only_evaluate_opens_the_test_split() -> None:
    components = Path(module.__file__).parents[1]
    opening = re.compile(r"open_split\([^)]*[\"']test[\"']")

    found = [
        path.relative_to(components) for path in components.rglob("*.py") if opening.search(path.read_text())
    ]

    assert found == [Path("evaluate/evaluate.py")]
