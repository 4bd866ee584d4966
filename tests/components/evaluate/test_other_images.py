"""Evaluations of images that are not MNIST's: in colour, of few and of many classes."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from components.common.data.dataset import open_split
from components.common.data.spec import MNIST_SPEC, ImageSpec
from components.common.errors import PipelineError
from components.common.plan.run import GatePlan
from components.evaluate.champion import ChampionModel
from components.evaluate.judge import EvaluationInputs, judge_models
from components.evaluate.report.tiles import headline_tiles
from components.evaluate.result import Evaluation
from components.evaluate.step import small_confusion_matrix
from tests.components.evaluate.conftest import linear_model, patterned
from tests.records import COLOUR, dataset_info, lineage, prepared

MakeModel = Callable[..., Path]
Judge = Callable[..., Evaluation]


@dataclass(frozen=True)
class Kind:
    """A data set, and the noise of a model that makes some mistakes on it."""

    spec: ImageSpec
    labels: NDArray[np.integer]
    noise: float


KINDS = {
    "colour": Kind(COLOUR, np.arange(300) % 3, 6),
    "imbalanced": Kind(ImageSpec(28, 28, 1, ("benign", "malignant")), np.repeat([0, 1], [270, 30]), 6),
    "100": Kind(ImageSpec(20, 12, 3, tuple(f"kind <{n}>" for n in range(100))), np.arange(600) % 100, 1.2),
    "300": Kind(ImageSpec(8, 8, 1, tuple(f"n{n:05}" for n in range(300))), np.arange(900) % 300, 0.4),
}


@dataclass(frozen=True)
class Judged:
    """An evaluation, the directory that it wrote, and the data and models that it was made of."""

    kind: Kind
    evaluation: Evaluation
    target: Path
    inputs: EvaluationInputs


@pytest.fixture(scope="module", params=KINDS)
def judged(
    request: pytest.FixtureRequest, make_model: MakeModel, tmp_path_factory: pytest.TempPathFactory
) -> Judged:
    kind, directory = KINDS[request.param], tmp_path_factory.mktemp("judged")
    parts = {"train": 7, "validation": 8}
    splits = {name: patterned(seed, kind.spec, kind.labels) for name, seed in parts.items()}
    prepared(directory / "development", splits, "other")
    prepared(directory / "test", {"test": patterned(3, kind.spec, kind.labels)}, "other")
    inputs = EvaluationInputs(
        test=directory / "test",
        development=directory / "development",
        baseline=make_model(1.5 * kind.noise, 0.7, spec=kind.spec),
        tuned=make_model(kind.noise, 0.8, spec=kind.spec),
    )
    evaluation = judge_models(
        inputs,
        champion=None,
        target=directory / "out",
        candidate_target=directory / "best",
        gate=GatePlan(),
        lineage={},
    )
    return Judged(kind, evaluation, directory / "out", inputs)


def test_the_evaluation_is_read_as_it_was_written_and_stays_small(judged: Judged) -> None:
    assert Evaluation.load(judged.target) == judged.evaluation
    assert (judged.target / Evaluation.FILE).stat().st_size < 2_000_000
    assert (judged.target / "report.html").stat().st_size < 4_000_000


def test_labels_are_as_wide_as_needed(judged: Judged) -> None:
    labels = open_split(judged.inputs.test, "test").labels
    assert labels.dtype == (np.int32 if len(judged.kind.spec.classes) > 256 else np.uint8)
    assert sum(entry.support for entry in judged.evaluation.tuned.classes) == len(labels)


def test_the_report_calls_the_classes_by_their_names(judged: Judged) -> None:
    report = (judged.target / "report.html").read_text()
    names, metrics = judged.kind.spec.classes, judged.evaluation.tuned
    (worst,) = metrics.confused_pairs(1)
    stated = f"The most frequent mistake: {names[worst.truth]} taken for {names[worst.predicted]}, count"
    escaped = stated.replace("<", "&lt;").replace(">", "&gt;")

    assert report.count(escaped) == 2
    rows = report.split('id="classes"')[1].split("</section>")[0].count("<tr>") - 1
    assert rows == min(len(names), 50)
    assert ("classes with the lowest F1" in report) == (len(names) > 50)
    card = (judged.target / "model_card.md").read_text()
    kind = "colour" if judged.kind.spec.channels == 3 else "grey"
    assert f"Input: {kind} images, uint8, N x {judged.kind.spec.size}." in card
    assert f"class {names[worst.truth]} are taken for {names[worst.predicted]}" in card.replace("\\", "")
    assert "digit" not in card


def test_mlflows_tables_hold_every_class_by_name(judged: Judged) -> None:
    classes = json.loads((judged.target / "tables/classes.json").read_text())
    pairs = json.loads((judged.target / "tables/confused_pairs.json").read_text())

    assert [row[0] for row in classes["data"]] == list(judged.kind.spec.classes)
    assert pairs["data"][0][0] in judged.kind.spec.classes


def test_kubeflow_shows_the_confusion_matrix_of_up_to_50_classes(
    judged: Judged, capsys: pytest.CaptureFixture[str]
) -> None:
    matrix = small_confusion_matrix(judged.evaluation)

    said = capsys.readouterr().out + capsys.readouterr().err
    if len(judged.kind.spec.classes) > 50:
        assert matrix is None
        assert "classes are more than 50" in said
    else:
        assert matrix is not None
        names, rows = matrix
        assert names == list(judged.kind.spec.classes)
        assert np.sum(rows) == judged.evaluation.tuned.examples
        assert not said


def test_guessing_is_not_enough(judged: Judged) -> None:
    most = int(np.bincount(judged.kind.labels).max())
    assert judged.evaluation.min_accuracy == (most + 1) / len(judged.kind.labels)
    assert "one image more than the answer" in judged.evaluation.decision.reasons[0]


def test_unequal_classes_put_the_balanced_accuracy_into_the_headline(judged: Judged) -> None:
    tiles = {tile.name: tile.value for tile in headline_tiles(judged.evaluation)}
    balanced = judged.evaluation.headline()["test_balanced_accuracy"]

    shown = {"Balanced accuracy": f"{balanced:.4f}"}.items() <= tiles.items()
    assert shown == (judged.kind is KINDS["imbalanced"])
    assert (
        f"| Balanced accuracy | {judged.evaluation.baseline.balanced_accuracy:.4f}"
        in (judged.target / "summary.md").read_text()
    )


def _against(judge: Judge, model: Path, directory: Path, champion: Path) -> Evaluation:
    return judge(model, model, directory / "judged", champion=ChampionModel("bands-cnn", "7", champion))


@pytest.mark.parametrize(
    ("spec", "difference"),
    [
        (COLOUR, r"is of images 32 x 32 x 3 in 3 classes, such as 'ankle boot', not '0'"),
        (ImageSpec(28, 28, 1, tuple("abcdefghij")), r"in 10 classes, such as 'a', not 'zero'"),
    ],
)
def test_a_champion_of_other_images_or_classes_cannot_be_compared(
    judge: Judge, make_model: MakeModel, tmp_path: Path, spec: ImageSpec, difference: str
) -> None:
    named = ImageSpec(28, 28, 1, ("zero", *MNIST_SPEC.classes[1:]))
    ours = named if "zero" in difference else MNIST_SPEC
    development, test = tmp_path / "development", tmp_path / "test"
    prepared(development, {"train": patterned(7, ours), "validation": patterned(8, ours)})
    prepared(test, {"test": patterned(3, ours)})
    model = make_model(0.6, spec=ours)

    with pytest.raises(PipelineError, match=rf"champion bands-cnn v7 .*{difference}: give the data a name"):
        judge(
            model,
            model,
            tmp_path / "judged",
            test=test,
            development=development,
            champion=ChampionModel("bands-cnn", "7", make_model(0.9, spec=spec)),
        )

    assert not (tmp_path / "judged" / "out").exists()


def test_a_champion_of_before_takes_images_without_channels(
    judge: Judge, make_model: MakeModel, tmp_path: Path
) -> None:
    linear_model(1.3, MNIST_SPEC, channel_axis=False).save(tmp_path / "model.keras")

    found = _against(judge, make_model(0.6), tmp_path, tmp_path)

    assert found.champion is not None
    same = _against(judge, make_model(0.6), tmp_path / "again", make_model(1.3))
    assert same.champion is not None
    assert found.champion.metrics.errors == same.champion.metrics.errors


@pytest.mark.parametrize("other", [True, False])
def test_a_champion_of_other_test_data_is_scored_on_this_runs(
    judge: Judge, make_model: MakeModel, test_data: Path, tmp_path: Path, other: bool
) -> None:
    digest = "e" * 64 if other else json.loads((test_data / "dataset.json").read_text())["digest"]
    champion = tmp_path / "champion"
    (champion / "data").mkdir(parents=True)
    linear_model(1.3, MNIST_SPEC).save(champion / "data" / "model.keras")
    records = lineage("bands-cnn", "run")
    judgement = records.judgement.model_copy(
        update={
            "test_digest": digest,
            "training": records.training.model_copy(update={"dataset": dataset_info("bands")}),
        }
    )
    type(records)(records.plan, judgement).save(champion / "lineage")

    found = _against(judge, make_model(0.6), tmp_path, champion)

    said = "registered on other test data" in found.decision.reasons[-1]
    assert said is other
