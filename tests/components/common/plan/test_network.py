import re
from itertools import product

import pytest

from components.common.data.spec import MNIST_SPEC, ImageSpec
from components.common.errors import PipelineError
from components.common.plan.network import check_network, network_of, reach
from components.common.plan.training import RECIPES, TrainConfig

TWO = ("cat", "dog")


def _spec(height: int, width: int, channels: int = 1) -> ImageSpec:
    return ImageSpec(height, width, channels, TWO)


@pytest.mark.parametrize(
    ("recipe", "maps"),
    [("seed", [26, 11, 3]), ("fast", [24, 10, 3]), ("best", [24, 22, 9, 7])],
)
def test_at_mnists_size_the_network_is_what_the_options_say(recipe: str, maps: list[int]) -> None:
    config = RECIPES[recipe]
    network = network_of(config, MNIST_SPEC)

    assert [convolution.height for convolution in network.convolutions] == maps
    assert {convolution.padding for convolution in network.convolutions} == {"valid"}
    assert network.crop == config.crop


def test_a_network_without_pooling_has_no_further_blocks_at_mnists_size() -> None:
    config = TrainConfig(filters=((8,),))

    assert [c.pooled for c in network_of(config, MNIST_SPEC).convolutions] == [(26, 26)]
    assert [c.pooled for c in network_of(config, _spec(64, 64)).convolutions] == [
        (31, 31),
        (15, 15),
        (15, 15),
    ]


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_size_leaves_something_and_never_much_for_the_dense_layer(recipe: str) -> None:
    for height, width in product([*range(4, 70), 96, 128, 200, 224], [4, 9, 28, 31, 48, 97, 224]):
        network = network_of(RECIPES[recipe], _spec(height, width, channels=3))
        last = network.convolutions[-1].pooled
        assert 1 <= min(last) <= max(last) <= 9, (height, width)
        assert network.weights < 1_100_000, (height, width)


def test_blocks_that_leave_nothing_of_the_image_keep_its_size() -> None:
    config = TrainConfig(filters=((8, 8), (8, 8), (8, 8)))

    assert [c.height for c in network_of(config, MNIST_SPEC).convolutions] == [28, 28, 14, 14, 7, 7]


def test_the_last_maps_are_averaged_where_there_are_further_blocks() -> None:
    config = RECIPES["seed"]
    kernels = 9 * (1 * 32 + 32 * 64 + 64 * 64)

    plain, further = network_of(config, _spec(52, 52)), network_of(config, _spec(56, 56))

    assert (plain.averaged, plain.convolutions[-1].pooled) == (False, (9, 9))
    assert plain.weights == kernels + 64 * (9 * 9 * 64 + 2)
    assert (further.averaged, further.convolutions[-1].pooled) == (True, (5, 5))
    assert further.weights == kernels + 9 * 64 * 64 + 64 * (64 + 2)


def test_a_long_image_is_pooled_along_its_longer_side() -> None:
    assert [c.pool for c in network_of(RECIPES["seed"], _spec(32, 280)).convolutions] == [
        *[(2, 2)] * 2,
        *[(1, 2)] * 3,
        (1, 1),
    ]


@pytest.mark.parametrize(
    ("side", "crop", "pixels"), [(4, 0, 1), (14, 0, 1), (28, 1, 1), (32, 1, 1), (64, 2, 2), (224, 8, 8)]
)
def test_distances_grow_with_the_image(side: int, crop: int, pixels: int) -> None:
    spec = _spec(side, side + 9)

    assert (network_of(RECIPES["fast"], spec).crop, reach(spec)) == (crop, pixels)


@pytest.mark.parametrize(("height", "width"), [(3, 28), (28, 3), (1, 1)])
def test_images_that_are_too_small_are_refused(height: int, width: int) -> None:
    message = f"images must be at least 4 x 4 but are {height} x {width}: set data.size=28."

    with pytest.raises(PipelineError, match=f"^{re.escape(message)}$"):
        check_network(RECIPES["seed"], _spec(height, width))


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_takes_pictures_of_224_pixels(recipe: str) -> None:
    check_network(RECIPES[recipe], _spec(224, 224, channels=3))


def test_a_step_that_takes_too_much_memory_is_refused_and_the_batch_that_it_names_is_not() -> None:
    spec, config = _spec(1024, 1024, channels=3), RECIPES["best"]

    with pytest.raises(PipelineError) as refused:
        check_network(config, spec)

    found = re.fullmatch(
        r"a training step must take at most 12 GiB of memory but takes about \d+\.\d GiB for 128 images of "
        r"1024 x 1024 x 3: set training\.batch_size to at most (\d+), or a smaller data\.size\.",
        str(refused.value),
    )
    assert found
    fits = int(found[1])
    assert fits > 0
    check_network(config.differing(batch_size=fits), spec)
    with pytest.raises(PipelineError, match="to at most"):
        check_network(config.differing(batch_size=fits + 1), spec)


def test_weights_that_take_too_much_memory_are_refused() -> None:
    with pytest.raises(PipelineError, match=r"set fewer training\.dense_units, or a smaller data\.size\.$"):
        check_network(TrainConfig(dense_units=10_000_000), MNIST_SPEC)
