import numpy as np
import pytest

from components.evaluate.report.explanations import image_grid, of_different_classes


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (6, 1), (7, 2), (12, 2)])
def test_images_stand_in_rows_below_their_captions(count: int, rows: int) -> None:
    images = np.zeros((count, 28, 28, 1), np.uint8)

    axes = image_grid(images, [str(number) for number in range(count)], columns=6).axes[0]

    places = [image.get_extent() for image in axes.get_images()]
    assert len({(left, top) for left, _, _, top in places}) == count
    assert len({top for _, _, _, top in places}) == rows
    captions = [(text.get_text(), *text.get_position()) for text in axes.texts]
    assert [caption for caption, _, _ in captions] == [str(number) for number in range(count)]
    assert all(
        left < x < right and y <= top
        for (left, right, _, top), (_, x, y) in zip(places, captions, strict=True)
    )


def test_images_keep_their_shape_and_colours() -> None:
    images = np.zeros((2, 64, 32, 3), np.uint8)
    images[:, :, :, 0] = 200

    figure = image_grid(images, ["ankle boot \N{RIGHTWARDS ARROW}\nsandal", "bag"], columns=2)

    width, height = figure.get_size_inches()
    assert height > width / 2 * 2
    shown, _ = figure.axes[0].get_images()
    left, right, bottom, top = shown.get_extent()
    assert bottom - top == pytest.approx(2 * (right - left))
    assert np.asarray(shown.get_array()).shape == (64, 32, 3)
    assert (np.asarray(shown.get_array())[..., 0] == 200).all()


@pytest.mark.parametrize(
    ("labels", "shown"),
    [
        ([0] * 20 + [1] * 20 + [2] * 20, [0, 1, 2, 20, 40]),
        ([7, 2, 1, 0, 4, 1, 4, 9], [0, 1, 2, 3, 4]),
        ([5, 5, 5], [0, 1, 2]),
        ([], []),
    ],
)
def test_explained_images_are_of_different_classes(labels: list[int], shown: list[int]) -> None:
    rows = np.arange(len(labels))
    assert of_different_classes(rows, np.array(labels, np.uint8)).tolist() == shown
