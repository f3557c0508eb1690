"""Disturbances of the arrays that a network reads, such as production brings (Hendrycks & Dietterich 2019).

Disturbed are the arrays that the network reads, and always into what the encoder could give: what goes missing or unseen gets
the code that `Encoder` itself gives a missing or unseen raw value.  A draw is made once for all severities, so that a severer
disturbance holds a milder one: its cells are more of the same, its noise the same times a larger factor.  Noise leaves missing
what is missing.  What is left alone:

- numbers of two values (booleans), dates and missing flags have no noise; dates go missing with the numbers;
- where no category column has a code of its own for missing, a missing one reads as an unseen one: then that kind is left out;
- of a sound, frames fall silent, as a missing sound is silent all along; noise belongs to the wave, which the arrays no longer hold;
- a missing picture (all black) and a missing text (all padding) stay as they are, and no whole picture, text or sound goes missing.

A forecast's windows are disturbed each for itself, though the same step stands in several; all channels of a step go missing at
once.  A text that was cut at its length gets no later tokens in place of those dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from pipeline.data import audio
from pipeline.data.encoding import Encoder
from pipeline.data.fitted import PADDING, UNKNOWN, Number, Preprocessor
from pipeline.evaluation.influence import Inputs
from pipeline.evaluation.metrics import Array, Floats

Change = Callable[[float], dict[str, Array]]  # severity -> the arrays that differ
Draw = Callable[[Preprocessor, Inputs, np.random.Generator], Change]

DEVIATIONS = (0.05, 0.1, 0.2, 0.5)
SHARES = (0.05, 0.1, 0.2, 0.5)
BRIGHTEST = 255.0
FAR = 1e200  # beyond what any scaling bends or cuts


@dataclass(frozen=True)
class Disturbance:
    """A kind of disturbance: `phrase` tells a severity in words, `axis` what it is counted in; `applies` to what was fitted."""

    title: str
    axis: str
    phrase: str
    severities: tuple[float, ...]
    unit: Literal["share", "deviations"]
    applies: Callable[[Preprocessor], bool]
    draw: Draw


def applicable(fitted: Preprocessor) -> tuple[str, ...]:
    """Returns the names in DISTURBANCES that apply to the fitted columns."""
    return tuple(name for name, kind in DISTURBANCES.items() if kind.applies(fitted))


def disturbed(kind: str, fitted: Preprocessor, inputs: Inputs, *, seed: int | Sequence[int]) -> Callable[[float], dict[str, Array]]:
    """Returns a function from a severity to all inputs, of the same shapes and types; what is not disturbed is passed on as it is.

    Severities lie in DISTURBANCES[kind].severities, but any from 0 (nothing changes) is answered.  Raises KeyError for an unknown kind.
    """
    change = DISTURBANCES[kind].draw(fitted, inputs, np.random.default_rng([*np.atleast_1d(seed), *kind.encode()]))
    return lambda severity: {**inputs, **change(severity)}


# -- numbers, categories and the steps of a forecast


def _number_noise(fitted: Preprocessor, inputs: Inputs, rng: np.random.Generator) -> Change:
    """Noise on the scaled values (rows, [steps,] numbers), cut where the encoder's own values end."""
    name = "series" if fitted.forecast else "number"
    block = inputs[name]
    noisy = np.array([_measured(one) for one in fitted.numbers])
    flags = {one.column: at for at, one in enumerate(fitted.numbers) if one.part == "missing"}
    spread = np.zeros(len(fitted.numbers), np.float32)
    there = np.broadcast_to(noisy, block.shape).copy()
    for at in np.flatnonzero(noisy):
        flag = flags.get(fitted.numbers[at].column)
        spread[at] = _deviation(fitted.numbers[at], 0.0 if flag is None else _moments(fitted.numbers[flag].grid)[0])
        if flag is not None:
            there[..., at] &= block[..., flag] == 0
    low, high = _encoded(fitted, [-FAR, FAR], [None, None])["number"]
    noise = spread * rng.standard_normal(block.shape, np.float32)
    return lambda severity: {name: np.where(there, np.clip(block + severity * noise, low, high), block).astype(block.dtype)}


def _number_missing(fitted: Preprocessor, inputs: Inputs, rng: np.random.Generator) -> Change:
    """All numbers of a column of the file at once; in a forecast all of a step."""
    name = "series" if fitted.forecast else "number"
    block, code = inputs[name], _encoded(fitted, [None], [None])["number"][0]
    columns = list(dict.fromkeys(one.column for one in fitted.numbers))
    cells = [0 if fitted.forecast else columns.index(one.column) for one in fitted.numbers]
    chance = rng.random((*block.shape[:-1], max(cells) + 1))[..., cells]
    return lambda severity: {name: np.where(chance < severity, code, block).astype(block.dtype)}


def _category(value: Literal["missing", "unseen"]) -> Draw:
    def drawn(fitted: Preprocessor, inputs: Inputs, rng: np.random.Generator) -> Change:
        block = inputs["category"]
        longest = max((len(token or "") for one in fitted.categories for token in one.tokens), default=0)
        code = _encoded(fitted, [None], [None if value == "missing" else "?" * (longest + 1)])["category"][0]
        chance = rng.random(block.shape)
        return lambda severity: {"category": np.where(chance < severity, code, block).astype(block.dtype)}

    return drawn


def _encoded(fitted: Preprocessor, numbers: list[float | None], categories: list[str | None]) -> dict[str, Array]:
    """Returns the blocks number and category that the encoder gives for rows of such values; dates are missing."""
    dates = {one.column for one in fitted.numbers if one.part not in ("value", "missing")}
    columns = {one.column: pa.array(categories, pa.string()) for one in fitted.categories}
    for one in fitted.numbers:
        columns[one.column] = pa.nulls(len(numbers), pa.timestamp("us")) if one.column in dates else pa.array(numbers, pa.float64())
    return Encoder(fitted).blocks(pa.RecordBatch.from_pydict(columns), ("number", "category"))


def _measured(one: Number) -> bool:
    """Whether it is a value of more than two, not a boolean; between two values the grid may hold one that is interpolated."""
    values, counts = np.unique(one.grid, return_counts=True)
    return one.part == "value" and not (len(values) == 2 or (len(values) == 3 and counts[1] == 1))


def _deviation(one: Number, missing: float) -> float:
    """Returns train's standard deviation of the scaled values that are there, from their quantiles; 1 where none are known.

    The outermost 1/256 at each end counts as its inner edge, so that a few values far out do not decide: 0.99 of a normal's
    deviation, 0.82 of a lognormal's.  Missing values, a share `missing` of train, are 0 in the quantiles.
    """
    if not one.grid:
        return 1.0
    inner = [one.grid[1], *one.grid[1:-1], one.grid[-2]] if len(one.grid) > 3 else one.grid
    mean, square = (moment / max(1 - missing, 1e-3) for moment in _moments(inner))
    return float(np.sqrt(max(square - mean**2, 0.0)))


def _moments(grid: Sequence[float]) -> tuple[float, float]:
    """Returns the mean and the mean square of what has these evenly spaced quantiles, straight lines between them."""
    values: Floats = np.asarray(grid, np.float64)
    a, b = values[:-1], values[1:]
    return (float((a + b).mean() / 2), float((a * a + a * b + b * b).mean() / 3)) if len(a) else (0.0, 0.0)


# -- sequences


def _step_noise(fitted: Preprocessor, inputs: Inputs, rng: np.random.Generator) -> Change:
    if fitted.forecast:
        return _number_noise(fitted, inputs, rng)
    block = inputs["sequence"]  # (rows, steps, channels), of mean 0 and deviation 1 in train
    noise = np.where(block != 0, rng.standard_normal(block.shape, np.float32), 0)  # 0 are missing values and what follows the last step
    return lambda severity: {"sequence": (block + severity * noise).astype(block.dtype)}


def _step_missing(fitted: Preprocessor, inputs: Inputs, rng: np.random.Generator) -> Change:
    if fitted.forecast:
        return _number_missing(fitted, inputs, rng)
    block = inputs["sequence"]
    chance = rng.random((*block.shape[:2], 1))
    return lambda severity: {"sequence": np.where(chance < severity, 0, block).astype(block.dtype)}


# -- pictures, texts and sounds: a block each


def _blocks(kind: str, draw: Callable[[np.random.Generator, tuple[int, ...]], Any], change: Callable[[Array, Any, float], Array]) -> Draw:
    """Returns what disturbs every block of a kind, each by draws of its own."""

    def drawn(fitted: Preprocessor, inputs: Inputs, rng: np.random.Generator) -> Change:
        draws = {f"{kind}_{at}": draw(rng, inputs[f"{kind}_{at}"].shape) for at in range(len(fitted.media[kind]))}
        return lambda severity: {name: change(inputs[name], told, severity).astype(inputs[name].dtype) for name, told in draws.items()}

    return drawn


def _pixels(block: Array, moved: Array) -> Array:
    """Returns whole values in the range of bytes; a picture that is all black is a missing one."""
    there = block.any(axis=(1, 2, 3), keepdims=True)
    return np.where(there, np.rint(np.clip(moved, 0, BRIGHTEST)), block)


def _grain(block: Array, noise: Array, severity: float) -> Array:
    return _pixels(block, block + np.float32(severity * BRIGHTEST) * noise)


def _blurred(block: Array, _: None, severity: float) -> Array:
    """Returns pictures under a Gaussian blur whose deviation is a share of the shorter side; the edge is repeated."""
    from scipy.ndimage import gaussian_filter

    sigma = severity * min(block.shape[1:3])
    return _pixels(block, gaussian_filter(block.astype(np.float32), (0, sigma, sigma, 0), mode="nearest"))


def _lit(block: Array, sign: Array, severity: float) -> Array:
    """Returns pictures brighter or darker by a share of the range."""
    return _pixels(block, block + np.float32(severity * BRIGHTEST) * sign)


def _moved(block: Array, toward: Array, severity: float) -> Array:
    """Returns pictures moved by whole pixels, a share of their side rounded; the edge is repeated."""
    rows, height, width, _ = block.shape
    down, right = (np.rint(severity * side).astype(int) * way for side, way in zip((height, width), toward, strict=True))
    y = np.clip(np.arange(height) - down[:, None], 0, height - 1)
    x = np.clip(np.arange(width) - right[:, None], 0, width - 1)
    return block[np.arange(rows)[:, None, None], y[:, :, None], x[:, None, :]]


def _ways(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Returns (2, rows): one of the eight directions, down and right."""
    eight = np.array([(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right])
    return eight[rng.integers(0, 8, shape[0])].T


def _dropped(ids: Array, chance: Array, severity: float) -> Array:
    """Returns texts without some tokens; the others close up, and padding follows."""
    kept = chance >= severity  # of padding, which ends a text, it makes no difference
    order = np.argsort(~kept, axis=1, kind="stable")
    return np.where(np.take_along_axis(kept, order, axis=1), np.take_along_axis(ids, order, axis=1), PADDING)


def _swapped(ids: Array, pairs: tuple[Array, Array], severity: float) -> Array:
    """Returns texts in which some pairs of neighbours have changed places; a token is in one pair at most."""
    first, chance = pairs  # (rows, 1) whether pairs start at the first or second token, (rows, length)
    at = np.arange(ids.shape[1])
    partner = np.where((at - first) % 2 == 0, at + 1, at - 1)
    inside = (partner >= 0) & (partner < ids.shape[1])
    partner = np.where(inside, partner, at)
    swap = (np.take_along_axis(chance, np.minimum(at, partner), axis=1) < severity) & (ids != PADDING)
    swap &= np.take_along_axis(ids, partner, axis=1) != PADDING
    return np.take_along_axis(ids, np.where(swap, partner, at), axis=1)


def _unknown(ids: Array, chance: Array, severity: float) -> Array:
    return np.where((ids != PADDING) & (chance < severity), UNKNOWN, ids)


def _silent(fitted: Preprocessor, inputs: Inputs, rng: np.random.Generator) -> Change:
    """Frames as the encoder has them of a missing sound, each mel band its own value."""
    codes = {f"audio_{at}": audio.encode(state, [None])[0, 0] for at, state in enumerate(fitted.audios)}
    chances = {name: rng.random((*inputs[name].shape[:2], 1)) for name in codes}
    return lambda severity: {
        name: np.where(chances[name] < severity, code, inputs[name]).astype(inputs[name].dtype) for name, code in codes.items()
    }


def _chance(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.random(shape)


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.standard_normal(shape, np.float32)


def _signs(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.choice(np.array([-1, 1], np.float32), (shape[0], 1, 1, 1))


def _pairs(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[Array, Array]:
    return rng.integers(0, 2, (shape[0], 1)), rng.random(shape)


def _has_measured(fitted: Preprocessor) -> bool:
    return any(map(_measured, fitted.numbers))


def _kind(title: str, axis: str, phrase: str, applies: Callable[[Preprocessor], bool], draw: Draw, *at: float) -> Disturbance:
    unit: Literal["share", "deviations"] = "deviations" if axis == _DEVIATIONS else "share"
    return Disturbance(title, axis, phrase, at or (DEVIATIONS if unit == "deviations" else SHARES), unit, applies, draw)


_DEVIATIONS, _RANGE = "Noise in train's deviations", "Share of the range"
DISTURBANCES: Mapping[str, Disturbance] = {
    "number_noise": _kind(
        "Noise on numbers", _DEVIATIONS, "noise of {} on numbers", lambda f: not f.forecast and _has_measured(f), _number_noise
    ),
    "number_missing": _kind(
        "Numbers missing", "Share of the cells", "{} of the numbers missing", lambda f: not f.forecast and bool(f.numbers), _number_missing
    ),
    "category_unseen": _kind(
        "Categories unseen", "Share of the cells", "{} of the categories unseen", lambda f: bool(f.categories), _category("unseen")
    ),
    "category_missing": _kind(
        "Categories missing",
        "Share of the cells",
        "{} of the categories missing",
        lambda f: any(None in one.tokens for one in f.categories),
        _category("missing"),
    ),
    "step_noise": _kind(
        "Noise on steps",
        _DEVIATIONS,
        "noise of {} on all steps",
        lambda f: f.sequence is not None or (f.forecast is not None and _has_measured(f)),
        _step_noise,
    ),
    "step_missing": _kind(
        "Steps missing",
        "Share of the steps",
        "{} of the steps missing",
        lambda f: f.sequence is not None or (f.forecast is not None and bool(f.numbers)),
        _step_missing,
    ),
    "image_noise": _kind(
        "Noise on pictures",
        _RANGE,
        "noise of {} of the range on pictures",
        lambda f: bool(f.images),
        _blocks("image", _normal, _grain),
        *(0.05, 0.1, 0.2, 0.4),
    ),
    "image_blur": _kind(
        "Blur",
        "Share of the shorter side",
        "blur over {} of the side",
        lambda f: bool(f.images),
        _blocks("image", lambda rng, shape: None, _blurred),
        *(0.01, 0.02, 0.04, 0.08),
    ),
    "image_brightness": _kind(
        "Brighter or darker",
        _RANGE,
        "brightness off by {} of the range",
        lambda f: bool(f.images),
        _blocks("image", _signs, _lit),
        *(0.1, 0.2, 0.3, 0.5),
    ),
    "image_shift": _kind(
        "Moved",
        "Share of the side",
        "pictures moved by {} of their side",
        lambda f: bool(f.images),
        _blocks("image", _ways, _moved),
        *(0.05, 0.1, 0.15, 0.2),
    ),
    "text_drop": _kind(
        "Tokens dropped", "Share of the tokens", "{} of the tokens dropped", lambda f: bool(f.texts), _blocks("text", _chance, _dropped)
    ),
    "text_swap": _kind(
        "Neighbours swapped",
        "Share of the tokens",
        "{} of the tokens swapped with a neighbour",
        lambda f: bool(f.texts),
        _blocks("text", _pairs, _swapped),
    ),
    "text_unknown": _kind(
        "Tokens unknown", "Share of the tokens", "{} of the tokens unknown", lambda f: bool(f.texts), _blocks("text", _chance, _unknown)
    ),
    "audio_silence": _kind("Silent frames", "Share of the frames", "{} of the frames silent", lambda f: bool(f.audios), _silent),
}
