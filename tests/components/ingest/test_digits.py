import hashlib

import numpy as np
from sklearn.datasets import load_digits as load_bundled

from components.common.data.dataset import Split, checked_split, class_counts
from components.common.data.spec import MNIST_SPEC
from components.ingest.digits import digits_form


def load_digits() -> tuple[Split, Split]:
    def split(part: str) -> Split:
        images, labels = next(digits_form().parts[part].chunks())
        return checked_split(images[..., None], labels, MNIST_SPEC, ("images", "labels"))

    return split("train"), split("test")


def test_both_parts_keep_the_rules_and_have_every_class() -> None:
    train, test = load_digits()
    assert len(train.labels) + len(test.labels) == 1797
    for in_train, in_test in zip(
        class_counts(train.labels, MNIST_SPEC), class_counts(test.labels, MNIST_SPEC), strict=True
    ):
        assert in_test == (in_train + in_test) // 5


def test_the_parts_share_no_image() -> None:
    train, test = load_digits()
    assert not {image.tobytes() for image in train.images} & {image.tobytes() for image in test.images}


def test_digits_fill_a_centred_box_from_black_to_white() -> None:
    train, _ = load_digits()
    images = train.images[..., 0]
    margin = np.ones((28, 28), dtype=bool)
    margin[4:24, 4:24] = False
    assert not images[:, margin].any()
    assert images[:, 4].any()
    assert images[:, 23].any()
    assert images.max() == 255


def test_the_corners_of_the_box_are_the_corners_of_the_digit() -> None:
    train, _ = load_digits()
    first = load_bundled().images[0]
    for row, column in ((0, 0), (0, 7), (7, 0), (7, 7)):
        enlarged = train.images[0, ..., 0][4 + row * 19 // 7, 4 + column * 19 // 7]
        assert enlarged == round(first[row, column] * 255 / 16)


def test_every_machine_gets_the_same_bytes() -> None:
    train, test = load_digits()
    digest = hashlib.sha256(train.images.tobytes() + test.images.tobytes()).hexdigest()
    assert digest == "eabe2db07a4ae9bb31afb8f115736b761b7ed9627c0cd780ba1eadc60c2993d3"
