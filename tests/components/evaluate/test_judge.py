import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from components.common.data.dataset import Split, write_splits
from components.common.errors import PipelineError
from components.common.model.classifier import Classifier
from components.common.model.training_record import repeat_directory
from components.evaluate import judge as module
from components.evaluate.calibration import reliability, temper
from components.evaluate.champion import ChampionModel
from components.evaluate.evaluation import Evaluation
from components.evaluate.judge import evaluate

MakeModel = Callable[..., Path]


def test_leaves_evaluation_report_summary_and_figures(evaluated: tuple[Evaluation, Path]) -> None:
    evaluation, target = evaluated

    assert Evaluation.load(target / "evaluation.json") == evaluation
    assert sorted(path.relative_to(target).as_posix() for path in target.rglob("*.*")) == [
        "evaluation.json",
        "figures/accuracy.png",
        "figures/confusion_matrix.png",
        "figures/coverage.png",
        "figures/explanations.png",
        "figures/feature_maps.png",
        "figures/learning_curves.png",
        "figures/mistakes.png",
        "figures/precision_recall.png",
        "figures/predictions.png",
        "figures/reliability.png",
        "figures/robustness.png",
        "figures/roc.png",
        "model_card.md",
        "report.html",
        "summary.md",
        "tables/classes.json",
        "tables/confused_pairs.json",
        "tables/reliability.json",
        "tables/robustness.json",
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

    assert headline["test_accuracy"] == headline["tuned/test_accuracy"] == evaluation.tuned.accuracy
    assert headline["baseline/test_accuracy"] == evaluation.baseline.accuracy
    assert headline["champion/test_errors"] < 300


def test_selection_reads_validation_not_test(
    test_data: Path, development: Path, make_model: MakeModel, tmp_path: Path
) -> None:
    flawless = make_model(0.0, validation_accuracy=0.8)
    favourite = make_model(1.0, validation_accuracy=0.9)

    evaluation = evaluate(
        test_data, development, flawless, favourite, None, tmp_path / "out", tmp_path / "best", 0.9, {}
    )

    assert evaluation.baseline.accuracy == 1
    assert evaluation.tuned.accuracy < 0.9
    assert evaluation.candidate == "tuned"
    assert evaluation.decision.action == "keep"


def test_further_seeds_are_scored_and_change_nothing_else(
    test_data: Path, development: Path, make_model: MakeModel, tmp_path: Path
) -> None:
    baseline, tuned = make_model(0.6, validation_accuracy=0.8), make_model(0.9, validation_accuracy=0.9)
    alone = evaluate(test_data, development, baseline, tuned, None, tmp_path / "1", tmp_path / "best1", 0, {})
    for seed, noise in {1001: 0.0, 2001: 1.3}.items():
        shutil.copytree(make_model(noise, validation_accuracy=0.7), repeat_directory(tuned, seed))

    found = evaluate(test_data, development, baseline, tuned, None, tmp_path / "3", tmp_path / "best3", 0, {})

    assert found.baseline_seeds is None
    assert found.tuned_seeds is not None
    assert found.tuned_seeds.validation == [0.9, 0.7, 0.7]
    assert found.tuned_seeds.test[:2] == [alone.tuned.accuracy, 1]
    assert found.tuned_seeds.test[2] < alone.tuned.accuracy
    headline = found.headline()
    assert headline["test_accuracy_mean"] == pytest.approx(np.mean(found.tuned_seeds.test))
    assert headline["tuned/test_accuracy_std"] == pytest.approx(np.std(found.tuned_seeds.test, ddof=1))
    assert headline["validation_accuracy_mean"] == pytest.approx(0.7667, abs=1e-4)
    assert {name: headline[name] for name in alone.headline() if "latency" not in name} == {
        name: value for name, value in alone.headline().items() if "latency" not in name
    }
    assert {path.name for path in (tmp_path / "best3").iterdir()} == {"training.json", "model.keras"}
    stated = found.tuned_seeds.stated("test")
    for written in ("report.html", "summary.md", "model_card.md"):
        assert stated in (tmp_path / "3" / written).read_text(), written
        assert "seeds" not in (tmp_path / "1" / written).read_text(), written


def test_the_baselines_configuration_is_told_its_seeds_only_where_it_was_trained_with_them(
    test_data: Path, development: Path, make_model: MakeModel, tmp_path: Path
) -> None:
    baseline, tuned = make_model(0.6, validation_accuracy=0.9), make_model(0.9, validation_accuracy=0.8)
    for model in (baseline, tuned):
        shutil.copytree(make_model(0.3), repeat_directory(model, 1001))

    other = evaluate(test_data, development, baseline, tuned, None, tmp_path / "1", tmp_path / "best1", 0, {})
    same = evaluate(
        test_data, development, baseline, baseline, None, tmp_path / "2", tmp_path / "best2", 0, {}
    )

    assert other.candidate == same.candidate == "baseline"
    assert other.candidate_seeds is None
    assert "test_accuracy_mean" not in other.headline()
    assert same.candidate_seeds == same.tuned_seeds is not None
    assert "test_accuracy_mean" in same.headline()


def test_an_equal_and_faultless_model(
    test_data: Path, development: Path, make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, target = make_model(0.0), tmp_path / "out"
    loaded: list[Path] = []

    class Spy(Classifier):
        def __init__(self, directory: Path) -> None:
            loaded.append(directory)
            super().__init__(directory)

    monkeypatch.setattr(module, "Classifier", Spy)

    evaluation = evaluate(test_data, development, model, model, None, target, tmp_path / "best", 0.5, {})

    assert loaded == [model]
    assert evaluation.candidate == "baseline"
    assert evaluation.tuned == evaluation.baseline
    assert evaluation.tuned_against_baseline.verdict == "equivalent"
    report = (target / "report.html").read_text()
    assert "the search found no better configuration" in report
    assert "There is no mistake." in report
    assert not (target / "figures/mistakes.png").exists()


def test_an_unusable_champion_stops_the_evaluation(
    test_data: Path, development: Path, make_model: MakeModel, tmp_path: Path
) -> None:
    model, champion = make_model(0.6), ChampionModel("bands-cnn", "7", tmp_path)
    (tmp_path / "model.keras").write_bytes(b"PK torn")

    with pytest.raises(PipelineError, match=r"champion bands-cnn v7 must be .* move the alias 'champion'"):
        evaluate(test_data, development, model, model, champion, tmp_path / "out", tmp_path / "best", 0.5, {})

    assert not (tmp_path / "out").exists()


def test_a_failed_evaluation_leaves_nothing(
    test_data: Path, development: Path, make_model: MakeModel, tmp_path: Path
) -> None:
    model = make_model(0.6)

    with pytest.raises(PipelineError, match="min_accuracy"):
        evaluate(test_data, development, model, model, None, tmp_path / "out", tmp_path / "best", 98.0, {})

    assert list(tmp_path.iterdir()) == []


def test_a_tiny_test_split(split: Split, development: Path, make_model: MakeModel, tmp_path: Path) -> None:
    few = Split(split.images[:2], split.labels[:2])
    write_splits(tmp_path / "few", {"test": few}, name="bands", source="", version="", split_seed=0)

    evaluation = evaluate(
        tmp_path / "few",
        development,
        make_model(1.0),
        make_model(0.0),
        None,
        tmp_path / "out",
        tmp_path / "best",
        0.0,
        {},
    )

    assert evaluation.baseline.examples == 2
    assert evaluation.tuned.accuracy == 1


def test_development_data_is_no_test_data(
    split: Split, development: Path, make_model: MakeModel, tmp_path: Path
) -> None:
    write_splits(tmp_path / "dev", {"train": split}, name="bands", source="", version="", split_seed=0)
    model = make_model(0.6)

    with pytest.raises(PipelineError, match="must hold the split 'test'"):
        evaluate(
            tmp_path / "dev", development, model, model, None, tmp_path / "out", tmp_path / "best", 0.5, {}
        )


def test_only_evaluate_opens_the_test_split() -> None:
    components = Path(module.__file__).parents[1]
    opening = re.compile(r"open_split\([^)]*[\"']test[\"']")

    found = [
        path.relative_to(components) for path in components.rglob("*.py") if opening.search(path.read_text())
    ]

    assert found == [Path("evaluate/judge.py")]


def test_the_candidate_is_left_calibrated(
    test_data: Path, development: Path, split: Split, make_model: MakeModel, tmp_path: Path
) -> None:
    model, best = make_model(0.9), tmp_path / "best"

    evaluation = evaluate(test_data, development, model, model, None, tmp_path / "out", best, 0.5, {})

    trained = Classifier(model).probabilities(split.images)
    registered = Classifier(best).probabilities(split.images)
    assert evaluation.calibration.temperature != pytest.approx(1, abs=0.05)
    np.testing.assert_allclose(registered, temper(trained, evaluation.calibration.temperature), atol=1e-5)
    assert reliability(split.labels, registered).nll == pytest.approx(evaluation.baseline.loss, abs=1e-5)
    assert reliability(split.labels, trained).nll == pytest.approx(
        evaluation.calibration.uncalibrated.nll, abs=1e-4
    )
    assert (best / "training.json").read_bytes() == (model / "training.json").read_bytes()


def test_calibration_reads_validation_not_test(
    development: Path, split: Split, make_model: MakeModel, tmp_path: Path
) -> None:
    model, temperatures = make_model(0.9), []
    for name, labels in {"right": split.labels, "wrong": (split.labels + 1) % 10}.items():
        data = tmp_path / name
        write_splits(
            data, {"test": Split(split.images, labels)}, name="bands", source="", version="", split_seed=0
        )
        evaluation = evaluate(data, development, model, model, None, data / "out", data / "best", 0.0, {})
        temperatures.append((evaluation.calibration.temperature, evaluation.selective.threshold))

    assert temperatures[0] == temperatures[1]
