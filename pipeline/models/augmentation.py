"""Augmentation: random changes of training rows, in numpy on the host, so that one seed gives one result on each backend.

Every function takes a block of rows (rows first) and returns a new one; each row draws for itself.
"""

from __future__ import annotations

import numpy as np

from pipeline.config import AugmentParams
from pipeline.data.fitted import PADDING, UNKNOWN, Preprocessor

Inputs = dict[str, np.ndarray]


def augment(
    batch: Inputs, y: np.ndarray, rng: np.random.Generator, params: AugmentParams, fitted: Preprocessor
) -> tuple[Inputs, np.ndarray]:
    """Rows and targets changed as `params` says; what nothing changes is passed on as it is.

    Returns:
        Inputs of the same shapes and kinds.  Targets as they came; after mixup those of classes are shares: (rows,) of the
        second class for a binary task, (rows, classes) for several.
    """
    changed = dict(batch)
    for name, block in batch.items():
        kind = name.rpartition("_")[0] or name
        if kind == "image":
            changed[name] = picture(block, rng, params)
        elif kind == "audio":
            changed[name] = sound(block, rng, params)
        elif kind == "text" and params.token_dropout:
            drawn = rng.random(block.shape, "float32") < params.token_dropout
            changed[name] = np.where(drawn & (block != PADDING), np.asarray(UNKNOWN, block.dtype), block)
        elif name == "sequence":
            changed[name] = series(block, rng, params, lengths=batch["sequence_length"])
        elif name == "series":
            changed[name] = series(block, rng, params)
    return mixed(changed, y, rng, params.mixup, fitted) if params.mixup else (changed, y)


def picture(images: np.ndarray, rng: np.random.Generator, params: AugmentParams) -> np.ndarray:
    """Pictures (rows, height, width, channels) uint8, flipped, moved, enlarged, turned, and with a blank rectangle."""
    rows, height, width, _ = images.shape
    flips = [axis for axis, kind in ((1, "vertical"), (2, "horizontal")) if params.flip in (kind, "both")]
    for axis in flips:
        images = np.where((rng.random((rows, 1, 1, 1)) < 0.5), np.flip(images, axis), images)
    if params.crop or params.rotate:
        images = turned(images, rng, params)
    elif params.shift:  # whole pixels, so that nothing blurs
        images = shifted(images, rng, params.shift)
    if params.cutout:  # DeVries & Taylor 2017
        tall, wide = max(1, round(params.cutout * height)), max(1, round(params.cutout * width))
        down, right = rng.integers(0, height - tall + 1, rows), rng.integers(0, width - wide + 1, rows)
        inside = _span(down, tall, height)[:, :, None] & _span(right, wide, width)[:, None, :]
        images = np.where(inside[..., None], np.asarray(0, images.dtype), images)
    return images


def shifted(images: np.ndarray, rng: np.random.Generator, share: float) -> np.ndarray:
    """Move each picture by whole pixels, at most this share of its height and width; the edge is repeated."""
    rows, height, width, _ = images.shape
    far = [round(share * side) for side in (height, width)]
    if not any(far):
        return images
    down, right = (rng.integers(-most, most + 1, rows) for most in far)
    y = np.clip(np.arange(height) + down[:, None], 0, height - 1)
    x = np.clip(np.arange(width) + right[:, None], 0, width - 1)
    return images[np.arange(rows)[:, None, None], y[:, :, None], x[:, None, :]]


def turned(images: np.ndarray, rng: np.random.Generator, params: AugmentParams) -> np.ndarray:
    """Turn, enlarge and move each picture at once, between pixels by the four nearest; the edge is repeated."""
    rows, height, width, _ = images.shape
    angle = np.deg2rad(rng.uniform(-params.rotate, params.rotate, rows))
    kept = 1 - rng.uniform(0, params.crop, rows)  # share of the picture that is seen
    room = (1 - kept) / 2
    down, right = (rng.uniform(-1, 1, rows) * (room + params.shift) * side for side in (height, width))
    y, x = np.meshgrid(np.arange(height) - (height - 1) / 2, np.arange(width) - (width - 1) / 2, indexing="ij")
    cos, sin = (kept * f(angle) for f in (np.cos, np.sin))
    place = lambda a, b, move, side: np.clip(  # noqa: E731
        a[:, None, None] * y + b[:, None, None] * x + (move + (side - 1) / 2)[:, None, None], 0, side - 1
    )
    at_y, at_x = place(cos, -sin, down, height), place(sin, cos, right, width)  # (rows, height, width)
    top, left = np.floor(at_y).astype(int), np.floor(at_x).astype(int)
    part_y, part_x = ((at - whole)[..., None].astype("float32") for at, whole in ((at_y, top), (at_x, left)))
    below, beside = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    row = np.arange(rows)[:, None, None]
    upper = images[row, top, left] * (1 - part_x) + images[row, top, beside] * part_x
    lower = images[row, below, left] * (1 - part_x) + images[row, below, beside] * part_x
    return np.rint(upper * (1 - part_y) + lower * part_y).astype(images.dtype)


def series(steps: np.ndarray, rng: np.random.Generator, params: AugmentParams, lengths: np.ndarray | None = None) -> np.ndarray:
    """Steps (rows, length, channels) with noise, a factor on each channel and a span of steps at the mean (0).

    Args:
        lengths: steps of each row that are there, of which those after stay zeros; none stands for a forecast, whose
            factor would not be that of its target and is left out.
    """
    rows, length, channels = steps.shape
    if params.scale and lengths is not None:
        steps = steps * np.exp(params.scale * rng.standard_normal((rows, 1, channels), "float32"))
    if params.jitter:
        steps = steps + np.float32(params.jitter) * rng.standard_normal(steps.shape, "float32")
    if params.mask:
        there = np.full(rows, length) if lengths is None else lengths
        steps = np.where(_random_span(rng, there, params.mask, length)[..., None], np.float32(0), steps)
    if params.jitter and lengths is not None:
        steps = np.where((np.arange(length) < lengths[:, None])[..., None], steps, np.float32(0))
    return steps


def sound(frames: np.ndarray, rng: np.random.Generator, params: AugmentParams) -> np.ndarray:
    """Spectrograms (rows, frames, mels) with a span of frames and a band of frequencies at the mean (0): SpecAugment, Park et al. 2019."""
    rows, length, mels = frames.shape
    if params.time_mask:
        frames = np.where(_random_span(rng, np.full(rows, length), params.time_mask, length)[:, :, None], np.float32(0), frames)
    if params.frequency_mask:
        frames = np.where(_random_span(rng, np.full(rows, mels), params.frequency_mask, mels)[:, None, :], np.float32(0), frames)
    return frames


def mixed(batch: Inputs, y: np.ndarray, rng: np.random.Generator, alpha: float, fitted: Preprocessor) -> tuple[Inputs, np.ndarray]:
    """Each row and its target mixed with another row by a share from Beta(alpha, alpha): Zhang et al. 2018, "mixup".

    Numbers, pictures, sounds and steps are averaged; codes and tokens, which have no mean, are those of the row with the larger share.
    """
    rows = len(y)
    share, other = rng.beta(alpha, alpha, rows).astype("float32"), rng.permutation(rows)
    share = np.maximum(share, 1 - share)
    average = lambda block: _along(share, block) * block + (1 - _along(share, block)) * block[other]  # noqa: E731
    changed = {}
    for name, block in batch.items():
        if name == "sequence_length":
            changed[name] = np.maximum(block, block[other])
        elif np.issubdtype(block.dtype, np.floating):
            changed[name] = average(block).astype(block.dtype)
        else:
            changed[name] = np.rint(average(block)).astype(block.dtype) if name.startswith("image") else block
    if fitted.task == "multiclass":
        y = np.eye(len(fitted.target.classes), dtype="float32")[y]
    return changed, average(y.astype("float32"))


def _along(share: np.ndarray, block: np.ndarray) -> np.ndarray:
    return share.reshape(-1, *[1] * (block.ndim - 1))


def _random_span(rng: np.random.Generator, there: np.ndarray, share: float, length: int) -> np.ndarray:
    """A span in each row, of up to `share` of the positions that are there: (rows, length) of bool."""
    size = rng.integers(0, np.floor(share * there).astype(int) + 1)
    return _span(rng.integers(0, there - size + 1), size, length)


def _span(begin: np.ndarray, size: np.ndarray | int, length: int) -> np.ndarray:
    at = np.arange(length)
    return (at >= begin[:, None]) & (at < (begin + size)[:, None])
