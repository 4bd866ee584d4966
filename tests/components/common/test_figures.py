import numpy as np
import pytest
from matplotlib.cbook import is_math_text

from components.common.data.spec import ImageSpec
from components.common.figures import MOST_PIXELS, ImageGrid, drawn_names, shrunk


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        ("ankle boot", "ankle boot"),
        ("a very long name", "a very lon\N{HORIZONTAL ELLIPSIS}"),
        ("two\nlines", "two lines"),
        ("$5, $10", r"\$5, \$10"),
        ("\N{HIRAGANA LETTER O}", "1"),
        ("", "1"),
    ],
)
def test_names_are_short_and_of_characters_that_the_font_has(name: str, drawn: str) -> None:
    assert drawn_names(ImageSpec(4, 4, 1, ("first", name)), longest=11)[1] == drawn


def test_a_name_with_dollars_is_no_mathematics() -> None:
    (name,) = drawn_names(ImageSpec(4, 4, 1, ("$a_b^$",)), longest=11)

    assert is_math_text("$a_b^$")
    assert not is_math_text(name)


def test_grey_and_colour_images_are_drawn_as_they_are() -> None:
    grid = ImageGrid([0.2], 2, (8, 6), 1.0)
    image = np.random.default_rng(0).integers(0, 256, (8, 6, 3), dtype=np.uint8)

    grid.show(0, 0, image[..., :1])
    grid.show(0, 1, image)

    grey, colour = grid.axes.get_images()
    np.testing.assert_array_equal(grey.get_array(), image[..., 0])
    np.testing.assert_array_equal(colour.get_array(), image)


def test_large_images_are_shrunk_by_means() -> None:
    image = np.zeros((2 * MOST_PIXELS, MOST_PIXELS, 3), np.uint8)
    image[::2, :, 0] = 200

    small = shrunk(image)

    assert small.shape == (MOST_PIXELS, MOST_PIXELS // 2, 3)
    assert (small[..., 0] == 100).all()
    assert shrunk(small) is small
