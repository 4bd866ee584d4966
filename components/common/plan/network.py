"""The network of a training: what it is made of for images of any size, and the memory that it takes."""

from dataclasses import dataclass, replace
from typing import Literal

from components.common.data.spec import MNIST_SPEC, ImageSpec
from components.common.errors import PipelineError
from components.common.plan.training import TrainConfig

# The options hold distances and sizes for images of this side.
REFERENCE = MNIST_SPEC.height
# Two poolings, as many as the options name at most, leave one pixel of it.
SMALLEST_SIDE = 4
# The hidden dense layer has a weight for each value of the last map and each unit.
WIDEST_LAST_MAP = 9
LARGEST_STEP = 12 * 2**30

Padding = Literal["valid", "same"]


@dataclass(frozen=True)
class Convolution:
    """A 3x3 convolution.

    Attributes:
        filters: Maps that it makes.
        padding: "valid" where the maps lose a pixel at each side, "same" where they keep their size.
        height: Rows of the maps.
        width: Columns of the maps.
        pool: Rows and columns that the max pooling behind it makes one of; (1, 1) where there is none.
    """

    filters: int
    padding: Padding
    height: int
    width: int
    pool: tuple[int, int] = (1, 1)

    @property
    def pooled(self) -> tuple[int, int]:
        """Rows and columns of the maps behind the pooling."""
        return self.height // self.pool[0], self.width // self.pool[1]


@dataclass(frozen=True)
class Network:
    """The network of a configuration for images of one kind.

    Attributes:
        spec: Description of the images.
        crop: Pixels cut from each side of the image.
        convolutions: All convolutions in order.
        averaged: Whether the hidden dense layer gets the mean of each last map instead of all its values.
        dense_units: Units of the hidden dense layer.
    """

    spec: ImageSpec
    crop: int
    convolutions: tuple[Convolution, ...]
    averaged: bool
    dense_units: int

    @property
    def weights(self) -> int:
        """Values that are trained, those of normalization and biases left out."""
        channels, found = self.spec.channels, 0
        for convolution in self.convolutions:
            found += 9 * channels * convolution.filters
            channels = convolution.filters
        height, width = (1, 1) if self.averaged else self.convolutions[-1].pooled
        return found + self.dense_units * (height * width * channels + len(self.spec.classes))

    def step_memory(self, batch_size: int) -> int:
        """Return about the bytes that a training step takes: activations, their gradients, and the optimizer's state.

        In float32 the recipes take 0.6 to 1.15 times as much at 224 x 224 x 3.

        Args:
            batch_size: Images a step.
        """
        values = 0
        for convolution in self.convolutions:
            height, width = convolution.pooled
            values += convolution.filters * (convolution.height * convolution.width + height * width)
        return 4 * (batch_size * (2 * values + 2 * self.spec.pixels) + 4 * self.weights)


def scaled(distance: float, spec: ImageSpec) -> float:
    """Return a distance in pixels of images of the reference size as pixels of these images."""
    return distance * (min(spec.height, spec.width) / REFERENCE)


def reach(spec: ImageSpec) -> int:
    """Return the whole pixels, at least 1, that a pixel of images of the reference size is in these images."""
    return max(1, round(scaled(1, spec)))


def network_of(config: TrainConfig, spec: ImageSpec) -> Network:
    """Return the network of a configuration for images of one kind.

    At the reference size it is what the options say. Larger images get further blocks, each like the last, until the
    last map is small, and the mean of it: what they show is less often in the same place. Smaller images keep the size
    of their maps in convolutions.

    Raises:
        PipelineError: The images are too small.
    """
    if min(spec.height, spec.width) < SMALLEST_SIDE:
        raise PipelineError(
            f"images must be at least {SMALLEST_SIDE} x {SMALLEST_SIDE} but are {spec.height} x {spec.width}: "
            f"set data.size={REFERENCE}."
        )
    crop = round(scaled(config.crop, spec))
    height, width = spec.height - 2 * crop, spec.width - 2 * crop
    side = REFERENCE - 2 * config.crop
    most = max(WIDEST_LAST_MAP, _blocks(config, side, side)[-1].width)
    padding: Padding = "valid" if min(spec.height, spec.width) >= REFERENCE else "same"
    plain = convolutions = _blocks(config, height, width, padding)
    while max(convolutions[-1].pooled) > most:
        convolutions = _with_further_block(config, convolutions, most)
    return Network(spec, crop, tuple(convolutions), convolutions is not plain, config.dense_units)


def check_network(config: TrainConfig, spec: ImageSpec) -> None:
    """Refuse a training that its images do not fit.

    Raises:
        PipelineError: The images are too small, or a training step takes too much memory.
    """
    network = network_of(config, spec)
    found = network.step_memory(config.batch_size)
    if found > LARGEST_STEP:
        fixed = network.step_memory(0)
        fits = (LARGEST_STEP - fixed) * config.batch_size // (found - fixed)
        smaller = f"training.batch_size to at most {fits}" if fits > 0 else "fewer training.dense_units"
        raise PipelineError(
            f"a training step must take at most {LARGEST_STEP / 2**30:g} GiB of memory but takes about "
            f"{found / 2**30:.1f} GiB for {config.batch_size} images of {spec.size}: "
            f"set {smaller}, or a smaller data.size."
        )


def _blocks(config: TrainConfig, height: int, width: int, padding: Padding = "valid") -> list[Convolution]:
    """Return the convolutions that the options name; those that would leave nothing of a map keep its size."""
    found: list[Convolution] = []
    for number, block in enumerate(config.filters, start=1):
        for position, filters in enumerate(block, start=1):
            rows, columns = found[-1].pooled if found else (height, width)
            lost = 2 if padding == "valid" else 0
            pools = position == len(block) and number < len(config.filters)
            pool = (2, 2) if pools else (1, 1)
            found.append(Convolution(filters, padding, rows - lost, columns - lost, pool))
    return found if min(found[-1].pooled) > 0 else _blocks(config, height, width, "same")


def _with_further_block(config: TrainConfig, convolutions: list[Convolution], most: int) -> list[Convolution]:
    """Return the convolutions with pooling along the axes that are longer than `most`, and a block like the last."""
    last = convolutions[-1]
    pool = (2 if last.height > most else 1, 2 if last.width > most else 1)
    pooling = replace(last, pool=pool)
    further = [Convolution(filters, "same", *pooling.pooled) for filters in config.filters[-1]]
    return [*convolutions[:-1], pooling, *further]
