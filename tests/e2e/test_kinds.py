"""The steps of a run on every kind of data, in one process, and what can be done with the version that it registers."""

import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from sklearn.metrics import f1_score

from components.common.data.dataset import Split, open_split
from components.common.data.info import DatasetInfo
from components.common.data.source import SourceInfo
from components.common.model.classifier import Classifier
from components.common.model.judgement import Judgement
from components.common.model.runtime import RuntimeClassifier
from components.common.plan.run import RunPlan
from components.common.tracking.client import configure_mlflow
from components.evaluate.judge import EvaluationInputs
from components.evaluate.report import contents
from components.evaluate.result import Evaluation
from components.evaluate.step import evaluate_step, gate_step
from components.ingest.step import ingest_step
from components.preprocess.step import preprocess_step
from components.register.steer import promote, rollback
from components.register.step import register_step
from components.register.verify import verify
from components.train.step import train_step
from components.tune import processes
from components.tune.step import choose_step, open_study_step, search_step
from pipelines.models.predict import predictions
from pipelines.models.reproduce import Recorded, reproduce
from pipelines.models.serve import ModelServer
from pipelines.models.served import Served
from pipelines.models.sources import read_sources
from tests import made_forms
from tests.forks import forking
from tests.made_sets import MadeSet, coloured_shapes, letters, linear_answers, numbers, rings
from tests.records import judgement_digest
from tests.servers import Platform, close_runs

if TYPE_CHECKING:
    from mlflow import MlflowClient

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


@dataclass(frozen=True)
class Kind:
    """A kind of data, and what a run on it has to reach.

    Attributes:
        make: Makes the data set.
        write: Writes it to a path.
        path: The path below a directory; the data set is named by it.
        form: Name of the form that ingest recognizes.
        shape: Shape of an image.
        classes: Names of the classes.
        margin: Least lead of the accuracy over that of the linear classifier.
        epochs: Passes of each training.
        lossless: Whether the test images are those of the set, in its order.
        note: What ingest says, in part.
        thorough: Whether a second configuration is tried, and a second run is evaluated, too: of the other kinds the
            second version is the first one's files again.
        options: Further options of the plan.
    """

    make: Callable[[], MadeSet]
    write: Callable[[MadeSet, Path], Path]
    path: str
    form: str
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    margin: float
    epochs: float
    lossless: bool = True
    note: str = ""
    thorough: bool = False
    options: dict[str, Any] = field(default_factory=dict)


ALPHABET = tuple("abcdefghijklmnopqrstuvwxyz")
SHAPES = ("blue disc", "blue square", "green disc", "red disc", "red square")
KINDS = {
    "emnist": Kind(
        make=letters,
        write=made_forms.write_emnist,
        path="emnist",
        form="idx",
        shape=(28, 28, 1),
        classes=ALPHABET,
        margin=0.5,
        epochs=5,
        note="as EMNIST's files need",
    ),
    "folders": Kind(
        make=lambda: coloured_shapes(32, 1200, 400),
        write=made_forms.write_folders,
        path="shapes",
        form="pictures",
        shape=(32, 32, 3),
        classes=SHAPES,
        margin=0.2,
        epochs=10,
        lossless=False,
        thorough=True,
    ),
    "medmnist": Kind(
        make=rings,
        write=made_forms.write_medmnist,
        path="ringmnist.npz",
        form="npz",
        shape=(28, 28, 1),
        classes=("0", "1"),
        margin=0.05,
        epochs=4,
        options={"class_weights": True},
    ),
    "hundred": Kind(
        make=numbers,
        write=made_forms.write_keras,
        path="numbers.npz",
        form="npz",
        shape=(28, 28, 1),
        classes=tuple(f"{number:02}" for number in range(100)),
        margin=0.7,
        epochs=4,
    ),
    "zip": Kind(
        make=lambda: coloured_shapes(64, 1000, 300),
        write=made_forms.write_zip,
        path="shapes64.zip",
        form="pictures",
        shape=(64, 64, 3),
        classes=SHAPES,
        margin=0.2,
        epochs=9,
        lossless=False,
        note="there is no test part",
    ),
    "parquet": Kind(
        make=lambda: coloured_shapes(32, 1200, 400),
        write=made_forms.write_parquet,
        path="shapes-hub",
        form="parquet",
        shape=(32, 32, 3),
        classes=SHAPES,
        margin=0.2,
        epochs=10,
    ),
    "kaggle": Kind(
        make=letters,
        write=made_forms.write_kaggle,
        path="kaggle",
        form="csv",
        shape=(28, 28, 1),
        classes=tuple(map(str, range(26))),
        margin=0.5,
        epochs=5,
        lossless=False,
        note="there is no test part",
    ),
}


@dataclass(frozen=True, eq=False)
class Ran:
    """A run that has ended, with its directories below `home`."""

    kind: Kind
    data: MadeSet
    address: Path
    home: Path
    client: "MlflowClient"
    plan: RunPlan
    version: str

    @property
    def source(self) -> SourceInfo:
        return SourceInfo.load(self.home / "raw")

    @property
    def test(self) -> Split:
        return open_split(self.home / "test", "test")

    @property
    def evaluation(self) -> Evaluation:
        return Evaluation.load(self.home / "evaluation")


@pytest.fixture(scope="module")
def client(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator["MlflowClient"]:
    from mlflow import MlflowClient

    with pytest.MonkeyPatch.context() as environment:
        for name in ("MLFLOW_RUN_ID", "MLFLOW_RUN_NAME", "MLFLOW_EXPERIMENT_ID"):
            environment.delenv(name, raising=False)
        for name, value in platform.environment.items():
            environment.setenv(name, value)
        environment.setenv("OPTUNA_STORAGE", str(tmp_path_factory.mktemp("studies") / "journal.log"))
        configure_mlflow()
        yield MlflowClient()
        close_runs(platform.tracking_uri)


@pytest.fixture(scope="module", params=KINDS)
def ran(
    request: pytest.FixtureRequest, client: "MlflowClient", tmp_path_factory: pytest.TempPathFactory
) -> Ran:
    kind, home = KINDS[request.param], tmp_path_factory.mktemp("kind")
    data = kind.make()
    address = kind.write(data, home / kind.path)
    plan = _begin(kind, address, home)
    preprocess_step(plan, home / "raw", development=home / "development", test=home / "test")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(processes, "child_context", forking)
        _train(plan, home)
        if not kind.thorough:
            # The other figures take most of the time of an evaluation.
            monkeypatch.setattr(contents, "FIGURES", contents.FIGURES[:4])
        version = _judge(plan, home, "", "register")
    return Ran(kind, data, address, home, client, plan, version)


def _begin(kind: Kind, address: Path, home: Path) -> RunPlan:
    """Make the plan of a new run, and take the data in."""
    run_id = uuid.uuid4().hex
    for stale in ("raw", "plan"):
        if (home / stale).exists():
            (home / stale).rename(home / f"{stale}-{run_id}")
    options = {
        "epochs": kind.epochs,
        "batch_size": 64,
        "tuning_seeds": 1,
        "min_accuracy": 0.5,
        "search_space": {"dropout": [0.05, 0.1]},
        "filters": [[16], [32], [32]],
        **kind.options,
    }
    ingest_step(
        {"data.source": str(address), "recipe": "fast", "search.trials": 1 + kind.thorough},
        options,
        run_id=run_id,
        run_name=f"run {run_id}",
        gpu_count="0",
        plan_target=home / "plan",
        raw_target=home / "raw",
    )
    return RunPlan.load(home / "plan")


def _train(plan: RunPlan, home: Path) -> None:
    """Train the baseline, and search from it."""
    development, baseline = home / "development", home / "baseline"
    train_step(plan, development, baseline)
    open_study_step(plan, baseline)
    assert (search_step(plan, development, baseline) > 0) == (plan.search.trials > 1)
    configuration = home / "configuration.json"
    page = home / "search.html"
    choose_step(plan, development, baseline, target=home / "tuned", configuration=configuration, page=page)


def _judge(plan: RunPlan, home: Path, suffix: str, decision: str) -> str:
    """Evaluate, decide and register, whatever the decision is; return the version's number."""
    inputs = EvaluationInputs(
        test=home / "test",
        development=home / "development",
        baseline=home / "baseline",
        tuned=home / "tuned",
    )
    evaluation, candidate = home / f"evaluation{suffix}", home / f"candidate{suffix}"
    evaluate_step(plan, inputs, target=evaluation, candidate=candidate)
    assert gate_step(plan, evaluation) == decision
    if decision == "keep":
        Judgement.load(evaluation).model_copy(update={"action": "register"}).save(evaluation)
    return _registered(plan, candidate, evaluation)


def _registered(plan: RunPlan, candidate: Path, evaluation: Path) -> str:
    digest = judgement_digest(evaluation)
    return register_step(plan, candidate=candidate, evaluation=evaluation, judgement_digest=digest).version


def test_the_data_is_taken_as_it_is(ran: Ran) -> None:
    kind, source = ran.kind, ran.source
    assert (source.form, source.spec.shape, source.spec.classes) == (kind.form, kind.shape, kind.classes)
    assert kind.note in " ".join(source.notes)
    if kind.lossless:
        images, labels = ran.data.parts["test"]
        assert np.array_equal(ran.test.images.reshape(images.shape), images)
        assert np.array_equal(ran.test.labels, labels)


def test_the_model_is_well_ahead_of_a_linear_classifier(ran: Ran) -> None:
    train, test = open_split(ran.home / "development", "train"), ran.test
    answers = linear_answers(train.images, train.labels, test.images)
    linear = float((answers == test.labels).mean())
    metrics = ran.evaluation.tuned
    assert metrics.accuracy >= linear + ran.kind.margin
    assert metrics.macro_f1 >= f1_score(test.labels, answers, average="macro") + ran.kind.margin
    assert metrics.reliability.ece <= 0.05


def test_report_and_figures_call_the_classes_by_their_names(ran: Ran) -> None:
    evaluation = ran.evaluation
    assert evaluation.decision.verdict == "first"
    report = (ran.home / "evaluation" / "report.html").read_text()
    named = [name for name in ran.kind.classes if re.search(rf"(?<!\w){name}(?!\w)", report)]
    # Of more classes, those that are told apart worst are listed.
    assert len(named) >= min(26, len(ran.kind.classes))
    assert not re.search(r"\b(nan|None|Traceback)\b", report)
    figures = {path.stem for path in (ran.home / "evaluation" / "figures").glob("*.svg")}
    assert {"confusion_matrix", "explanations"} <= figures


@pytest.fixture(scope="module")
def model(ran: Ran) -> Path:
    """The version's files, which are what was registered."""
    directory = ran.home / "verified"
    verify(ran.client, ran.plan.model_name, ran.version, directory).require()
    return directory


@pytest.mark.usefixtures("model")
def test_the_version_is_what_was_registered_and_is_trained_again_alike(ran: Ran, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    recorded = Recorded.of(ran.client, ran.plan.model_name, ran.version)
    outcome = reproduce(recorded, tmp_path / "scratch", None, print)
    assert outcome.identical
    assert outcome.differing == {}


def test_pictures_of_the_kind_are_answered_with_names(ran: Ran, model: Path, tmp_path: Path) -> None:
    classifier = RuntimeClassifier(model)
    images, labels = ran.data.parts["test"]
    directory = tmp_path / "pictures"
    directory.mkdir()
    for number, image in enumerate(images[:60]):
        Image.fromarray(image).save(directory / f"{number:02}.png")
    sources = read_sources([str(directory)], classifier.spec, None)
    found = list(predictions(classifier, sources, 0.5, lambda _: None))
    right = [
        answer.label == ran.kind.classes[label] for answer, label in zip(found, labels[:60], strict=True)
    ]
    assert np.mean(right) >= ran.evaluation.candidate_metrics.accuracy - 0.15
    assert [len(answer.probabilities) for answer in found] == [len(ran.kind.classes)] * 60

    with TestClient(ModelServer(Served(classifier, 0.5, "ran", "1")).application()) as server:
        answer = server.post("/invocations", json={"inputs": ran.test.images[:5].tolist()})
    assert answer.status_code == 200
    served = np.array(answer.json()["predictions"])
    np.testing.assert_allclose(served, classifier.probabilities(ran.test.images[:5]), atol=1e-6)
    # On some processors the model in Keras calculates in bfloat16; its float32 copy was compared at registration.
    in_keras = Classifier(model).probabilities(ran.test.images[:5])
    np.testing.assert_allclose(served, in_keras, atol=0.05)


def _second_version(ran: Ran, plan: RunPlan, monkeypatch: pytest.MonkeyPatch) -> str:
    """Register the model of a second run, which is the champion's; return the version's number."""
    if not ran.kind.thorough:
        judged = Judgement.load(ran.home / "evaluation")
        again = ran.home / "evaluation-again"
        again.mkdir()
        judged.model_copy(update={"champion_version": ran.version}).save(again)
        return _registered(plan, ran.home / "candidate", again)
    monkeypatch.setattr(contents, "FIGURES", contents.FIGURES[:1])
    version = _judge(plan, ran.home, "-again", "keep")
    evaluation = Evaluation.load(ran.home / "evaluation-again")
    assert evaluation.decision.verdict == "identical"
    assert evaluation.champion is not None
    assert evaluation.champion.version == ran.version
    return version


def test_a_second_run_knows_the_champion_which_can_come_back(
    ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = DatasetInfo.load(ran.home / "development")
    plan = _begin(ran.kind, ran.address, ran.home)
    assert plan.model_name == ran.plan.model_name
    again = preprocess_step(
        plan, ran.home / "raw", development=ran.home / "again", test=ran.home / "test-again"
    )
    assert again.development.digest == first.digest

    version = _second_version(ran, plan, monkeypatch)

    assert int(version) == int(ran.version) + 1
    name = plan.model_name
    assert rollback(ran.client, name, "a test", "to see") == (version, ran.version)
    assert promote(ran.client, name, version, "a test", "to see")
    assert ran.client.get_model_version_by_alias(name, "champion").version == version
