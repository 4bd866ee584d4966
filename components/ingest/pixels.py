"""Pixels of any form as uint8 of N x height x width x channels, without loss or refused."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.common.data.dataset import described
from components.common.errors import PipelineError

# Fractions of 255 that were written in float16 still round to the same whole number.
NEAR_WHOLE = 0.08
WAY_OUT = "write them as uint8, 0 to 255"


class PixelReader:
    """Converts the chunks of one part, which must all be of one kind.

    Attributes:
        place: What to call the part in an error.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        self._scale = 0
        self._done = 0

    def pixels(self, images: NDArray[Any]) -> NDArray[np.uint8]:
        """Return a chunk of images as uint8, N x height x width x channels.

        Taken are whole numbers from 0 to 255 of any type, fractions of 255 from 0 to 1, truth values, images without
        a channel axis or with it first, square images as rows of pixels, and an alpha channel that is 255 everywhere.

        Raises:
            PipelineError: They cannot be converted without loss.
        """
        shaped = self._shaped(images)
        converted = self._converted(shaped)
        if converted.shape[3] == 4:
            self._require(
                (converted[..., 3] == 255).reshape(len(converted), -1).all(axis=1),
                "images with an alpha channel must be opaque",
                "put them on a background",
            )
            converted = converted[..., :3]
        self._done += len(images)
        return converted

    def _shaped(self, images: NDArray[Any]) -> NDArray[Any]:
        if images.ndim == 2 and (side := math.isqrt(images.shape[1])) ** 2 == images.shape[1] and side > 1:
            images = images.reshape(len(images), side, side)
        if images.ndim == 3:
            images = images[..., None]
        if images.ndim == 4 and images.shape[3] not in {1, 3, 4} and images.shape[1] in {1, 3}:
            images = np.moveaxis(images, 1, 3)
        if images.ndim != 4 or images.shape[3] not in {1, 3, 4} or 0 in images.shape[1:]:
            raise PipelineError(
                f"{self.place}: images must be N x height x width, grey or with 3 channels, but are "
                f"{described(images)}: write them so."
            )
        return images

    def _converted(self, images: NDArray[Any]) -> NDArray[np.uint8]:
        kind = images.dtype.kind
        if images.dtype == np.uint8:
            return images
        if kind == "b":
            return images.astype(np.uint8) * np.uint8(255)
        if kind not in "iuf":
            raise PipelineError(
                f"{self.place}: pixels must be numbers but are of type {images.dtype}: {WAY_OUT}."
            )
        if kind == "f":
            self._require(
                np.isfinite(images).reshape(len(images), -1).all(axis=1), "pixels must be numbers", WAY_OUT
            )
            whole = self._scaled(images)
        else:
            whole = images
        inside = (whole >= 0) & (whole <= 255)
        rule = "pixels must be 0 to 1" if self._scale == 255 else "pixels must be 0 to 255"
        self._require(inside.reshape(len(images), -1).all(axis=1), rule, WAY_OUT, images)
        return whole.astype(np.uint8)

    def _scaled(self, images: NDArray[Any]) -> NDArray[Any]:
        """Return fractions as whole numbers; whether 1 is the brightest is decided by the first chunk."""
        exact = images.astype(np.float64, copy=False)
        self._scale = self._scale or (255 if len(exact) and exact.max() <= 1 else 1)
        whole = np.round(exact * self._scale)
        near = np.abs(exact * self._scale - whole) <= NEAR_WHOLE
        rule = "fractional pixels must be whole numbers from 0 to 255, or 255ths from 0 to 1"
        self._require(near.reshape(len(images), -1).all(axis=1), rule, WAY_OUT, images)
        return whole

    def _require(self, good: Any, rule: str, way_out: str, images: NDArray[Any] | None = None) -> None:
        if good.all():
            return
        first = int(np.flatnonzero(~good)[0])
        values = (
            "" if images is None else f" with values from {images[first].min():g} to {images[first].max():g}"
        )
        raise PipelineError(
            f"{self.place}: {rule} but image {self._done + first} is not one{values}: {way_out}."
        )
