"""Names of data sets."""

import pytest

from components.common.errors import PipelineError
from components.common.plan.run import DataPlan
from components.common.storage.files import combined_digest
from components.ingest.naming import dataset_name
from components.ingest.sources import MNIST_SHA256

OTHER = dict.fromkeys(MNIST_SHA256, "00" * 32)
DIGEST = combined_digest(OTHER)[:8]
ONE_FILE_OTHER = MNIST_SHA256 | {"t10k-labels-idx1-ubyte": "00" * 32}


@pytest.mark.parametrize(
    ("data", "requested", "uri", "files", "name"),
    [
        ("x", "", "file:///data/anything", MNIST_SHA256, "mnist"),
        ("x", "mnist", "file:///data/anything", MNIST_SHA256, "mnist"),
        ("digits", "", "sklearn", OTHER, "digits"),
        ("digits", "digits", "sklearn", OTHER, "digits"),
        ("x", "", "file:///data/Fashion%20MNIST", OTHER, "fashion-mnist"),
        ("x", "", "https://host/data/kuzushiji.npz", OTHER, "kuzushiji"),
        ("x", "", "s3://bucket/data/my_own/", OTHER, "my-own"),
        ("x", "mine", "file:///data/mnist", OTHER, "mine"),
        ("x", "", "file:///torch/FashionMNIST/raw", OTHER, "fashionmnist"),
        ("x", "", "file:///torch/KMNIST/raw", OTHER, "kmnist"),
        ("x", "", "https://host/emnist.tar.gz", OTHER, "emnist"),
        ("x", "", "https://host/", OTHER, f"data-{DIGEST}"),
        ("x", "", "file:///data/raw", OTHER, f"data-{DIGEST}"),
        ("x", "", "s3://bucket/train.npz", OTHER, f"data-{DIGEST}"),
        ("x", "", "file:///data/mnist", ONE_FILE_OTHER, f"mnist-{combined_digest(ONE_FILE_OTHER)[:8]}"),
        ("x", "", "file:///digits", OTHER, f"digits-{DIGEST}"),
        ("x", "", f"file:///{'long-' * 20}", OTHER, "long-long-long-long-long-long-long-long"),
    ],
)
def test_how_a_data_set_is_named(
    data: str, requested: str, uri: str, files: dict[str, str], name: str
) -> None:
    assert dataset_name(DataPlan(source=data, name=requested or None), uri, files) == name


@pytest.mark.parametrize(
    ("data", "requested", "uri", "files", "message"),
    [
        (
            "x",
            "mnist",
            "https://mirror/mnist",
            OTHER,
            "but in .* the sha256 of train-images-idx3-ubyte is 00",
        ),
        (
            "x",
            "mnist",
            "file:///mnist",
            ONE_FILE_OTHER,
            "but in .* the sha256 of t10k-labels-idx1-ubyte is 00",
        ),
        ("x", "digits", "file:///d", OTHER, "the name 'digits' must belong to scikit-learn's"),
        ("x", "other", "file:///data", MNIST_SHA256, "must be 'mnist' for this data but is 'other'"),
        ("digits", "mnist", "sklearn", OTHER, "must be 'digits' for this data but is 'mnist'"),
    ],
)
def test_names_that_are_refused(
    data: str, requested: str, uri: str, files: dict[str, str], message: str
) -> None:
    with pytest.raises(PipelineError, match=message):
        dataset_name(DataPlan(source=data, name=requested or None), uri, files)


def test_a_subset_names_the_data_set() -> None:
    data = DataPlan(source="x", subset="emnist-letters")
    assert dataset_name(data, "file:///data/emnist/gzip", OTHER) == "emnist-letters"
