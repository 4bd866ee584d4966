import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from components.common.data.dataset import Split, open_split
from components.common.errors import PipelineError
from components.common.model.classifier import Classifier
from components.common.model.judgement import Judgement
from components.common.model.reference import Reference
from components.common.model.samples import load_samples
from components.common.model.training_record import Training, repeat_directory
from components.common.storage.files import file_digests
from components.evaluate import judge as module
from components.evaluate.calibration import apply_temperature, measure_reliability
from components.evaluate.champion import ChampionModel
from components.evaluate.judge import EvaluationInputs
from components.evaluate.result import Evaluation
from tests.records import prepared

MakeModel = Callable[..., Path]
Judge = Callable[..., Evaluation]


def test_leaves_evaluation_report_summary_and_figures(evaluated: tuple[Evaluation, Path]) -> None:
    evaluation, target = evaluated

    assert Evaluation.load(target) == evaluation
    assert sorted(path.relative_to(target).as_posix() for path in target.rglob("*.*")) == [
        "evaluation.json",
        "figures/accuracy.svg",
        "figures/confusion_matrix.svg",
        "figures/coverage.svg",
        "figures/explanations.svg",
        "figures/feature_maps.svg",
        "figures/learning_curves.svg",
        "figures/mistakes.svg",
        "figures/precision_recall.svg",
        "figures/predictions.svg",
        "figures/reliability.svg",
        "figures/robustness.svg",
        "figures/roc.svg",
        "judgement.json",
        "model_card.md",
        "report.html",
        "summary.md",
        "tables/classes.json",
        "tables/confused_pairs.json",
        "tables/reliability.json",
        "tables/robustness.json",
    ]


def test_the_judgement_holds_what_the_gate_and_the_registration_need(
    evaluated: tuple[Evaluation, Path],
) -> None:
    evaluation, target = evaluated

    assert Judgement.load(target) == Judgement(
        training=Training.load(target.with_name("candidate")),
        test_digest=evaluation.dataset.digest,
        candidate_files=file_digests(target.with_name("candidate")),
        candidate="tuned",
        action="register",
        reasons=evaluation.decision.reasons,
        verdict="better",
        temperature=evaluation.calibration.temperature,
        reject_below=evaluation.selective.threshold,
        champion_version="3",
        decision=1,
        summary=(target / "summary.md").read_text(),
    )


def test_a_model_that_is_not_the_one_of_its_record_is_refused(
    judge: Judge, make_model: MakeModel, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(make_model(0.8), other)
    shutil.copyfile(make_model(0.6) / "model.keras", other / "model.keras")
    with pytest.raises(
        PipelineError, match=r"other/model\.keras must have the weights .* that training\.json"
    ):
        judge(make_model(0.6), other, tmp_path)


def test_the_judgement_of_a_first_model_names_no_champion(
    judge: Judge, make_model: MakeModel, tmp_path: Path
) -> None:
    judge(make_model(0.6), make_model(0.8), tmp_path)

    judgement = Judgement.load(tmp_path / "out")
    assert (judgement.champion_version, judgement.verdict) == (None, "first")


def test_test_and_development_data_cannot_be_swapped_by_position(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        EvaluationInputs(tmp_path, tmp_path, tmp_path, tmp_path)  # type: ignore[call-arg]


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


def test_selection_reads_validation_not_test(judge: Judge, make_model: MakeModel, tmp_path: Path) -> None:
    flawless = make_model(0.0, validation_accuracy=0.8)
    favourite = make_model(1.0, validation_accuracy=0.9)

    evaluation = judge(flawless, favourite, tmp_path, min_accuracy=0.9)

    assert evaluation.baseline.accuracy == 1
    assert evaluation.tuned.accuracy < 0.9
    assert evaluation.candidate == "tuned"
    assert evaluation.decision.action == "keep"


def test_further_seeds_are_scored_and_change_nothing_else(
    judge: Judge, make_model: MakeModel, tmp_path: Path
) -> None:
    baseline, tuned = make_model(0.6, validation_accuracy=0.8), make_model(0.9, validation_accuracy=0.9)
    alone = judge(baseline, tuned, tmp_path / "1", min_accuracy=0)
    for seed, noise in {1001: 0.0, 2001: 1.3}.items():
        shutil.copytree(make_model(noise, validation_accuracy=0.7), repeat_directory(tuned, seed))

    found = judge(baseline, tuned, tmp_path / "3", min_accuracy=0)

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
    assert {path.name for path in (tmp_path / "3/best").iterdir()} == {
        "training.json",
        "model.keras",
        "reference.npz",
        "samples.npz",
        "onnx",
    }
    stated = found.tuned_seeds.stated("test")
    for written in ("report.html", "summary.md", "model_card.md"):
        assert stated in (tmp_path / "3/out" / written).read_text(), written
        assert "seeds" not in (tmp_path / "1/out" / written).read_text(), written


def test_the_baseline_has_seed_accuracies_only_where_its_configuration_was_trained_with_several_seeds(
    judge: Judge, make_model: MakeModel, tmp_path: Path
) -> None:
    baseline, tuned = make_model(0.6, validation_accuracy=0.9), make_model(0.9, validation_accuracy=0.8)
    for model in (baseline, tuned):
        shutil.copytree(make_model(0.3), repeat_directory(model, 1001))

    other = judge(baseline, tuned, tmp_path / "1")
    same = judge(baseline, baseline, tmp_path / "2")

    assert other.candidate == same.candidate == "baseline"
    assert other.candidate_seeds is None
    assert "test_accuracy_mean" not in other.headline()
    assert same.candidate_seeds == same.tuned_seeds is not None
    assert "test_accuracy_mean" in same.headline()


def test_an_equal_and_faultless_model(
    judge: Judge, make_model: MakeModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, target = make_model(0.0), tmp_path / "out"
    loaded: list[Path] = []

    class Spy(Classifier):
        def __init__(self, directory: Path) -> None:
            loaded.append(directory)
            super().__init__(directory)

    monkeypatch.setattr(module, "Classifier", Spy)

    evaluation = judge(model, model, tmp_path)

    assert loaded == [model]
    assert evaluation.candidate == "baseline"
    assert evaluation.tuned == evaluation.baseline
    assert evaluation.tuned_against_baseline.difference == 0
    report = (target / "report.html").read_text()
    assert evaluation.kept
    assert "the search found no better configuration" in report
    assert "Tuned model against baseline" not in report
    assert "There is no mistake." in report
    assert not (target / "figures/mistakes.svg").exists()


def test_an_unusable_champion_stops_the_evaluation(
    judge: Judge, make_model: MakeModel, tmp_path: Path
) -> None:
    model, champion = make_model(0.6), ChampionModel("bands-cnn", "7", tmp_path)
    (tmp_path / "model.keras").write_bytes(b"PK torn")

    with pytest.raises(PipelineError, match=r"champion bands-cnn v7 must be .* move the alias 'champion'"):
        judge(model, model, tmp_path, champion=champion)

    assert not (tmp_path / "out").exists()


def test_a_tiny_test_split(judge: Judge, split: Split, make_model: MakeModel, tmp_path: Path) -> None:
    few = Split(split.images[:2], split.labels[:2], split.spec)
    prepared(tmp_path / "few", {"test": few}, "bands")

    evaluation = judge(make_model(1.0), make_model(0.0), tmp_path, test=tmp_path / "few", min_accuracy=0)

    assert evaluation.baseline.examples == 2
    assert evaluation.tuned.accuracy == 1


def test_development_data_is_no_test_data(
    judge: Judge, split: Split, make_model: MakeModel, tmp_path: Path
) -> None:
    prepared(tmp_path / "dev", {"train": split}, "bands")
    model = make_model(0.6)

    with pytest.raises(PipelineError, match="must hold the split 'test'"):
        judge(model, model, tmp_path, test=tmp_path / "dev")


def test_only_evaluate_opens_the_test_split() -> None:
    components = Path(module.__file__).parents[1]
    opening = re.compile(r"open_split\([^)]*[\"']test[\"']")

    found = [
        path.relative_to(components) for path in components.rglob("*.py") if opening.search(path.read_text())
    ]

    assert found == [Path("evaluate/judge.py")]


def test_the_candidate_is_left_calibrated(
    judge: Judge, split: Split, make_model: MakeModel, tmp_path: Path
) -> None:
    model, best = make_model(0.9), tmp_path / "best"

    evaluation = judge(model, model, tmp_path)

    trained = Classifier(model).probabilities(split.images)
    registered = Classifier(best).probabilities(split.images)
    assert evaluation.calibration.temperature != pytest.approx(1, abs=0.05)
    np.testing.assert_allclose(
        registered, apply_temperature(trained, evaluation.calibration.temperature), atol=1e-5
    )
    assert measure_reliability(split.labels, registered).nll == pytest.approx(
        evaluation.baseline.loss, abs=1e-5
    )
    assert measure_reliability(split.labels, trained).nll == pytest.approx(
        evaluation.calibration.uncalibrated.nll, abs=1e-4
    )
    assert (best / "training.json").read_bytes() == (model / "training.json").read_bytes()


def test_the_candidate_has_a_sample_of_each_class_and_a_reference_of_the_validation_split(
    judge: Judge, development: Path, make_model: MakeModel, tmp_path: Path
) -> None:
    model = make_model(0.9)
    evaluation = judge(model, model, tmp_path)
    samples = load_samples(tmp_path / "best")
    assert samples is not None
    assert samples.shape == (len(evaluation.spec.classes), *evaluation.spec.shape)
    reference, validation = Reference.load(tmp_path / "best"), open_split(development, "validation")
    probabilities = Classifier(tmp_path / "best").probabilities(validation.images)
    assert reference.examples == len(validation.labels)
    assert reference.right == (probabilities.argmax(axis=1) == validation.labels).sum()
    assert reference.rejected == (probabilities.max(axis=1) < evaluation.selective.threshold).sum()


def test_calibration_reads_validation_not_test(
    judge: Judge, split: Split, make_model: MakeModel, tmp_path: Path
) -> None:
    model, temperatures = make_model(0.9), []
    for name, labels in {"right": split.labels, "wrong": (split.labels + 1) % 10}.items():
        data = tmp_path / name
        prepared(data, {"test": Split(split.images, labels, split.spec)}, "bands")
        evaluation = judge(model, model, data, test=data, min_accuracy=0)
        temperatures.append((evaluation.calibration.temperature, evaluation.selective.threshold))

    assert temperatures[0] == temperatures[1]
