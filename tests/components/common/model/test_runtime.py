import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from components.common.data.spec import MNIST_SPEC, ImageSpec
from components.common.errors import PipelineError
from components.common.model.classifier import Classifier
from components.common.model.exchange import ONNX_FILE
from components.common.model.lineage import LINEAGE
from components.common.model.runtime import CHUNK, RuntimeClassifier
from tests.linear_models import BINARY, save_candidate
from tests.records import COLOUR, lineage

COUNTS = (0, 1, CHUNK, 3 * CHUNK + 1)


def _version(directory: Path, spec: ImageSpec, *, bare: bool = False) -> Path:
    save_candidate(directory, spec, bare=bare)
    lineage("model", "run", spec=spec).save(directory / LINEAGE)
    (directory / "training.json").unlink()
    return directory


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _version(tmp_path_factory.mktemp("version"), MNIST_SPEC)


@pytest.mark.parametrize(("spec", "bare"), [(COLOUR, False), (BINARY, False), (BINARY, True)])
def test_answers_are_those_of_keras_for_every_batch_size(spec: ImageSpec, bare: bool, tmp_path: Path) -> None:
    directory = _version(tmp_path, spec, bare=bare)
    images = np.random.default_rng(0).integers(0, 256, (COUNTS[-1], *spec.shape), dtype=np.uint8)
    runtime, keras = RuntimeClassifier(directory), Classifier(directory)
    assert (runtime.spec, runtime.reject_below) == (spec, 0.9)
    expected = keras.probabilities(images)
    for count in COUNTS:
        found = runtime.probabilities(images[:count])
        assert found.shape == (count, len(spec.classes))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected[:count], atol=1e-6)


def test_grey_images_may_lack_their_channel_and_be_memory_mapped(version: Path, tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (CHUNK + 1, 28, 28), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    classifier = RuntimeClassifier(version)
    mapped = classifier.probabilities(np.load(tmp_path / "images.npy", mmap_mode="r"))
    np.testing.assert_array_equal(mapped, classifier.probabilities(images[..., None]))


@pytest.mark.parametrize(
    ("images", "found"),
    [
        (np.zeros((2, 32, 32, 3), np.uint8), r"\(2, 32, 32, 3\) of uint8"),
        (np.zeros((2, 28, 28, 1), np.float32), r"\(2, 28, 28, 1\) of float32"),
    ],
)
def test_other_images_are_refused(version: Path, images: np.ndarray, found: str) -> None:
    with pytest.raises(PipelineError, match=f"must be given uint8 images N x 28 x 28 x 1 but got {found}"):
        RuntimeClassifier(version).probabilities(images)


def test_a_file_that_is_missing_damaged_or_another_models_is_refused(version: Path, tmp_path: Path) -> None:
    directory = tmp_path / "version"
    shutil.copytree(version, directory)
    other = _version(tmp_path, BINARY)
    shutil.copyfile(other / ONNX_FILE, directory / ONNX_FILE)
    with pytest.raises(
        PipelineError, match="must be the model of its record, of images 28 x 28 x 1 in 10 classes"
    ):
        RuntimeClassifier(directory)
    (directory / ONNX_FILE).write_bytes((version / ONNX_FILE).read_bytes()[:-500])
    with pytest.raises(PipelineError, match="must be a readable ONNX model of standard operators"):
        RuntimeClassifier(directory)
    (directory / ONNX_FILE).unlink()
    with pytest.raises(PipelineError, match=r"model\.onnx must exist but does not"):
        RuntimeClassifier(directory)


def test_no_heavy_library_is_needed(version: Path) -> None:
    program = f"""
import sys
sys.modules.update(dict.fromkeys(["tensorflow", "keras", "mlflow", "boto3", "scipy", "sklearn", "onnx"]))
from pathlib import Path
import numpy as np
from components.common.model.runtime import RuntimeClassifier
print(RuntimeClassifier(Path({str(version)!r})).probabilities(np.zeros((1, 28, 28), np.uint8)).shape)
"""
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout == "(1, 10)\n"
