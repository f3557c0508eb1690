"""Pictures as blocks of bytes of one size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from pipeline.data.fitted import Image
from pipeline.data.media import decode_image
from pipeline.errors import UserError

MOST_PIXELS = 224  # a side, where normalize.image does not say
LOOKED_AT = 1_000  # train pictures that sizes and colour are taken from


def fit(column: str, pictures: Iterable[bytes | None], *, height: int | None, width: int | None, channels: int | None) -> Image:
    """Take what is not given from train's first pictures: median height and width, at most MOST_PIXELS; 3 channels where one has colour."""
    heights, widths, colour = [], [], False
    if height is None or width is None or channels is None:
        for data in pictures:
            if data is not None:
                pixels = _decoded(column, data)
                heights.append(pixels.shape[0])
                widths.append(pixels.shape[1])
                colour = colour or (pixels.shape[2] == 3 and bool((pixels != pixels[:, :, :1]).any()))
    median = {"height": heights, "width": widths}
    typical = {name: max(1, min(int(np.median(found)), MOST_PIXELS)) if found else 1 for name, found in median.items()}
    return Image(column, height or typical["height"], width or typical["width"], channels or (3 if colour else 1))


def encode(image: Image, pictures: Sequence[bytes | None]) -> np.ndarray:
    """Pictures (rows, height, width, channels) uint8, scaled to the size whatever their proportions; a missing one is black.

    Raises:
        UserError: a picture cannot be read.
    """
    block = np.zeros((len(pictures), image.height, image.width, image.channels), np.uint8)
    for at, data in enumerate(pictures):
        if data is not None:
            block[at] = _sized(_decoded(image.column, data), image)
    return block


def _decoded(column: str, data: bytes) -> np.ndarray:
    try:
        return decode_image(data)
    except ValueError as error:
        raise UserError(f"column {column}: a picture is {error}") from None


def _sized(pixels: np.ndarray, image: Image) -> np.ndarray:
    from PIL import Image as Pillow

    if pixels.shape == (image.height, image.width, image.channels):
        return pixels
    picture = Pillow.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).convert("L" if image.channels == 1 else "RGB")
    if picture.size != (image.width, image.height):
        picture = picture.resize((image.width, image.height), Pillow.Resampling.BILINEAR)  # averages where it shrinks
    return np.asarray(picture).reshape(image.height, image.width, image.channels)
