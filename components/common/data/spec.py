"""Description of a data set's images: size, channels and classes."""

import math
from dataclasses import dataclass
from typing import Literal

DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class ImageSpec:
    """Size, channels and classes of a data set's images, and the way to make such an image of a picture.

    Attributes:
        height: Rows of pixels.
        width: Columns of pixels.
        channels: 1 for grey, 3 for red, green and blue.
        classes: Names of the classes; a label is a place in this list.
        pictures: "digit" where the images hold one upright handwritten digit in MNIST's form, bright on black, which a
            picture is centred and scaled for; "any" where a picture is resized and converted only.
    """

    height: int
    width: int
    channels: int
    classes: tuple[str, ...]
    pictures: Literal["digit", "any"] = "any"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image: height, width, channels."""
        return self.height, self.width, self.channels

    @property
    def pixels(self) -> int:
        """Values of one image."""
        return math.prod(self.shape)

    @property
    def size(self) -> str:
        """Shape of one image as text."""
        return " x ".join(map(str, self.shape))

    @property
    def label_type(self) -> Literal["uint8", "int32"]:
        """Name of the labels' type: the smallest that TensorFlow indexes with."""
        return "uint8" if len(self.classes) <= 256 else "int32"


# Of records that were written before the images were described.
MNIST_SPEC = ImageSpec(28, 28, 1, DIGITS, "digit")
