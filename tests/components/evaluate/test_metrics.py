import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import TypeAdapter
from scipy.special import softmax
from sklearn import metrics as reference

from components.evaluate import metrics as module
from components.evaluate.metrics import Metrics, measure_predictions


@pytest.fixture
def labels() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 10, 2000, dtype=np.uint8)


@pytest.fixture
def probabilities(labels: NDArray[np.uint8]) -> NDArray[np.float32]:
    scores = np.random.default_rng(1).normal(size=(len(labels), 10)) + 2 * np.eye(10)[labels]
    return softmax(scores, axis=1).astype(np.float32)  # type: ignore[no-any-return]


def test_agrees_with_scikit_learn(labels: NDArray[np.uint8], probabilities: NDArray[np.float32]) -> None:
    predicted = probabilities.argmax(axis=1)

    measured = measure_predictions(labels, probabilities)

    assert measured.accuracy == pytest.approx(reference.accuracy_score(labels, predicted))
    assert measured.errors == int((predicted != labels).sum())
    assert measured.loss == pytest.approx(reference.log_loss(labels, probabilities), rel=1e-5)
    assert measured.macro_f1 == pytest.approx(reference.f1_score(labels, predicted, average="macro"))
    assert measured.macro_auc == pytest.approx(
        reference.roc_auc_score(
            labels, probabilities / probabilities.sum(axis=1, keepdims=True), multi_class="ovr"
        ),
        abs=1e-6,
    )
    assert measured.balanced_accuracy == pytest.approx(reference.balanced_accuracy_score(labels, predicted))
    expected = reference.confusion_matrix(labels, predicted)
    assert (measured.confusion_matrix(range(10)) == expected).all()
    assert (measured.confusion_matrix([7, 2]) == expected[np.ix_([7, 2], [7, 2])]).all()
    by_class = reference.precision_recall_fscore_support(labels, predicted)
    for column, name in zip(by_class, ("precision", "recall", "f1", "support"), strict=True):
        assert [getattr(entry, name) for entry in measured.classes] == pytest.approx(column.tolist())


def test_classes_that_never_occur_count_for_nothing() -> None:
    labels = np.array([0, 1, 1, 2], np.uint8)
    probabilities = np.eye(10, dtype=np.float32)[[0, 1, 3, 2]]

    measured = measure_predictions(labels, probabilities)

    # Class 3 was predicted, but no image tells what the model does with it.
    assert measured.macro_f1 == pytest.approx((1 + 2 / 3 + 1) / 3)
    assert (measured.classes[3].precision, measured.classes[3].recall, measured.classes[3].f1) == (None,) * 3
    assert measured.over == ", over 3 of 10 classes"
    assert [curve is not None for curve in measured.class_roc] == [True] * 3 + [False] * 7
    assert measured.classes[9].support == 0


def test_a_confident_mistake_costs_a_finite_loss() -> None:
    measured = measure_predictions(np.array([0, 1], np.uint8), np.eye(10, dtype=np.float32)[[0, 2]])

    assert measured.loss == pytest.approx(-np.log(np.finfo(np.float32).eps) / 2)


def test_of_labels_of_one_class_no_curve_is_known() -> None:
    probabilities = np.full((20, 10), 0.02, np.float32)
    probabilities[:, 4] = 0.82

    measured = measure_predictions(np.full(20, 4, np.uint8), probabilities)

    assert (measured.macro_auc, measured.macro_auc_interval) == (None, None)
    assert not any((*measured.class_roc, *measured.class_pr))
    assert "test_macro_auc" not in measured.headline()
    assert (measured.macro_f1, measured.macro_f1_interval[1]) == (1, 1)
    # Twenty right answers in twenty: a true share of 0.8316 gives them in 2.5% of cases.
    assert measured.accuracy_interval == pytest.approx((0.025 ** (1 / 20), 1))


@pytest.mark.parametrize("right", [0, 1])
def test_all_wrong_or_all_right_with_certainty(right: int) -> None:
    labels = np.arange(20) % 10
    measured = measure_predictions(labels, np.eye(10, dtype=np.float32)[(labels + 1 - right) % 10])

    assert (measured.accuracy, measured.macro_f1, measured.macro_auc) == pytest.approx(
        (right, right, right * 1.0 or 4 / 9), abs=1e-6
    )
    assert measured.reliability.ece == 1 - right
    assert measured.reliability.ece_by_chance_bound == 0
    for low, high in (
        measured.macro_f1_interval,
        measured.balanced_accuracy_interval,
        measured.accuracy_interval,
        measured.reliability.ece_interval,
    ):
        assert 0 <= low < high <= 1
        assert high - low < 0.6


def test_roc_curves_are_thin_finite_and_whole(
    labels: NDArray[np.uint8], probabilities: NDArray[np.float32]
) -> None:
    measured = measure_predictions(labels, probabilities)

    for curve in (*measured.class_roc, measured.pooled_roc):
        assert curve is not None
        assert len(curve.thresholds) == len(curve.false_positive_rate) == len(curve.true_positive_rate) <= 100
        assert (curve.false_positive_rate[0], curve.true_positive_rate[0]) == (0, 0)
        assert (curve.false_positive_rate[-1], curve.true_positive_rate[-1]) == (1, 1)
        assert curve.thresholds[0] == 1
        assert curve.thresholds == sorted(curve.thresholds, reverse=True)


def test_thinning_leaves_the_area_alone(
    labels: NDArray[np.uint8], probabilities: NDArray[np.float32]
) -> None:
    curve = measure_predictions(labels, probabilities).class_roc[3]

    assert curve is not None
    assert curve.auc == pytest.approx(reference.roc_auc_score(labels == 3, probabilities[:, 3]))
    assert reference.auc(curve.false_positive_rate, curve.true_positive_rate) == pytest.approx(
        curve.auc, abs=5e-3
    )


def test_survives_json(labels: NDArray[np.uint8], probabilities: NDArray[np.float32]) -> None:
    measured, adapter = measure_predictions(labels, probabilities), TypeAdapter(Metrics)

    assert adapter.validate_json(adapter.dump_json(measured), strict=True) == measured
    assert {type(value) for value in measured.headline().values()} == {float}


def test_average_precision_agrees_with_scikit_learn(
    labels: NDArray[np.uint8], probabilities: NDArray[np.float32]
) -> None:
    for label, curve in enumerate(measure_predictions(labels, probabilities).class_pr):
        assert curve is not None
        expected = reference.average_precision_score(labels == label, probabilities[:, label])
        assert curve.average_precision == pytest.approx(expected)
        assert len(curve.recall) == len(curve.precision) <= 100
        assert curve.recall == sorted(curve.recall, reverse=True)


def test_confused_pairs_are_ranked_by_count() -> None:
    predicted = np.array([1, 1, 2, 0, 0, 1], np.uint8)
    measured = measure_predictions(
        np.array([0, 0, 0, 0, 1, 1], np.uint8), np.eye(10, dtype=np.float32)[predicted]
    )

    pairs = [(pair.truth, pair.predicted, pair.count, pair.share) for pair in measured.confused_pairs()]
    assert pairs == [(0, 1, 2, 0.5), (0, 2, 1, 0.25), (1, 0, 1, 0.5)]


def test_two_classes_of_unequal_size() -> None:
    labels = np.repeat([0, 1], [90, 10]).astype(np.uint8)
    scores = np.random.default_rng(2).random(100) * 0.6 + 0.4 * (labels == 1)
    probabilities = np.stack([1 - scores, scores], axis=1).astype(np.float32)
    predicted = probabilities.argmax(axis=1)

    measured = measure_predictions(labels, probabilities)

    assert measured.balanced_accuracy == pytest.approx(reference.balanced_accuracy_score(labels, predicted))
    assert measured.macro_f1 == pytest.approx(reference.f1_score(labels, predicted, average="macro"))
    for curve in measured.class_roc:
        assert curve is not None
        assert curve.auc == pytest.approx(reference.roc_auc_score(labels, scores))


def _answers(classes: int, count: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    generator = np.random.default_rng(3)
    labels = generator.integers(0, classes, count).astype(np.int32)
    scores = generator.normal(size=(count, classes)) + 5 * np.eye(classes)[labels]
    return labels, softmax(scores, axis=1).astype(np.float32)


def test_hundreds_of_classes_stay_small() -> None:
    labels, probabilities = _answers(300, 3000)

    measured = measure_predictions(labels, probabilities)

    predicted = probabilities.argmax(axis=1)
    assert measured.accuracy == reference.accuracy_score(labels, predicted)
    assert measured.macro_f1 == pytest.approx(reference.f1_score(labels, predicted, average="macro"))
    assert len(measured.confusion) < 3000
    assert max(len(curve.recall) for curve in measured.class_pr if curve) == 5000 // 300
    assert len(TypeAdapter(Metrics).dump_json(measured)) < 1_000_000


def test_very_many_decisions_are_counted_not_ranked(monkeypatch: pytest.MonkeyPatch) -> None:
    labels, probabilities = _answers(50, 2500)
    ranked = measure_predictions(labels, probabilities).pooled_roc

    monkeypatch.setattr(module, "EXACT_DECISIONS", 0)
    counted = measure_predictions(labels, probabilities).pooled_roc

    assert counted.auc == pytest.approx(ranked.auc, abs=1e-5)
    assert counted.auc != ranked.auc
    assert (counted.false_positive_rate[0], counted.true_positive_rate[-1]) == (0, 1)
