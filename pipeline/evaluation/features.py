"""Plain numbers for plain models from what is no table: pictures, texts, sounds and sequences.

Each input becomes a block of dense numbers, as a textbook would have it: pictures their principal components, texts the
weights of their n-grams, sounds and sequences what sums up each channel and its course on a few points.  All is learnt
from train.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from pipeline.data.fitted import UNKNOWN
from pipeline.evaluation.metrics import Array, Floats

SIDE = 32  # pixels a side, to which larger pictures are averaged
COMPONENTS = 80  # principal components of pictures, and singular vectors of texts for models that take no sparse numbers
NGRAMS = 50_000  # most n-grams of tokens
COURSE = 256  # most numbers that tell the course of all channels of a sequence

Inputs = Mapping[str, Array]


@dataclass(frozen=True)
class Plain:
    """Numbers of some rows, scaled for a linear model: `dense` (rows, D); `sparse` (rows, S), a SciPy matrix or None, and
    `reduced` (rows, R), which stands for it densely."""

    dense: Floats
    sparse: Any
    reduced: Floats


def fit_features(train: Inputs, *, seed: int) -> Callable[[Inputs], Plain]:
    """Learn from these rows of train; returns a function from inputs, by their names in `arrays.Side.more`, to plain numbers."""
    dense, texts = dict[str, Callable[[Inputs], Floats]](), dict[str, Callable[[Inputs], tuple[Any, Floats]]]()
    for name in train:
        kind = name.partition("_")[0]
        if kind == "image":
            dense[name] = _components(train, name, seed)
        elif kind == "audio" or name == "sequence":
            dense[name] = _summaries(train, name)
        elif kind == "text":
            texts[name] = _ngrams(train, name, seed)

    def features(rows: Inputs) -> Plain:
        from scipy.sparse import hstack

        count = len(next(iter(rows.values())))
        blocks = [fitted(rows) for fitted in dense.values()]
        words = [fitted(rows) for fitted in texts.values()]
        return Plain(
            np.concatenate([np.empty((count, 0)), *blocks], axis=1),
            hstack([weights for weights, _ in words], format="csr") if words else None,
            np.concatenate([np.empty((count, 0)), *(reduced for _, reduced in words)], axis=1),
        )

    return features


def summary(steps: Array, lengths: Array | None = None) -> Floats:
    """Each channel's mean, deviation, least, greatest and last value, its mean absolute step, and its course on a few points.

    steps: (rows, T, channels); lengths: (rows,) how many steps are there, all where None.  A row without steps gives zeros.
    """
    rows, most, channels = steps.shape
    steps = steps.astype(np.float64)
    length = np.full(rows, most) if lengths is None else np.asarray(lengths, np.int64)
    there = (np.arange(most) < length[:, None])[:, :, None]
    count = np.maximum(length, 1)[:, None]
    mean = np.where(there, steps, 0.0).sum(axis=1) / count
    deviation = np.sqrt(np.where(there, (steps - mean[:, None]) ** 2, 0.0).sum(axis=1) / count)
    last = np.take_along_axis(steps, np.maximum(length - 1, 0)[:, None, None], axis=1)[:, 0]
    least, greatest = np.where(there, steps, np.inf).min(axis=1), np.where(there, steps, -np.inf).max(axis=1)
    moves = np.where(there[:, 1:], np.abs(np.diff(steps, axis=1)), 0.0).sum(axis=1) / np.maximum(count - 1, 1)
    points = int(np.clip(COURSE // channels, 2, 16))
    place = np.linspace(0, 1, points) * np.maximum(length - 1, 0)[:, None]  # (rows, points)
    low = place.astype(np.int64)
    share = (place - low)[:, :, None]
    high = np.minimum(low + 1, np.maximum(length - 1, 0)[:, None])
    course = [(1 - share) * np.take_along_axis(steps, low[:, :, None], axis=1), share * np.take_along_axis(steps, high[:, :, None], axis=1)]
    found = np.concatenate([mean, deviation, least, greatest, last, moves, sum(course).reshape(rows, -1)], axis=1)
    found[length == 0] = 0.0
    return found


def _summaries(train: Inputs, name: str) -> Callable[[Inputs], Floats]:
    """`summary` in standard deviations of train."""

    def sums(rows: Inputs) -> Floats:
        return summary(np.asarray(rows[name]), rows.get(f"{name}_length"))

    learnt = sums(train)
    mean, deviation = learnt.mean(axis=0), learnt.std(axis=0)
    deviation = np.where(deviation > 1e-12, deviation, 1.0)
    return lambda rows: (sums(rows) - mean) / deviation


def _components(train: Inputs, name: str, seed: int) -> Callable[[Inputs], Floats]:
    """Principal components of the pixels (Turk & Pentland 1991), as they are: scaled alike the last ones would bring in noise."""
    from sklearn.decomposition import PCA

    pixels = _pixels(train[name])
    model = PCA(min(COMPONENTS, *pixels.shape), svd_solver="randomized", random_state=seed).fit(pixels)
    return lambda rows: model.transform(_pixels(rows[name]))


def _pixels(pictures: Array) -> Array:
    """Pictures (rows, height, width, channels) of bytes as (rows, pixels) from 0 to 1, averaged to at most SIDE a side."""
    small = np.asarray(pictures).astype(np.float32) / 255
    for axis in (1, 2):
        length = small.shape[axis]
        if length > SIDE:
            edges = np.linspace(0, length, SIDE + 1).astype(int)
            sizes = np.diff(edges).reshape([-1 if at == axis else 1 for at in range(4)])
            small = np.add.reduceat(small, edges[:-1], axis=axis) / sizes
    return small.reshape(len(small), -1)


def _ngrams(train: Inputs, name: str, seed: int) -> Callable[[Inputs], tuple[Any, Floats]]:
    """Tokens and pairs of tokens, weighted by how rare they are (TF-IDF, Salton & Buckley 1988), and their singular vectors."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    settings = {"analyzer": _grams, "max_features": NGRAMS, "sublinear_tf": True, "lowercase": False}
    words = TfidfVectorizer(min_df=2, **settings)
    try:
        weights = words.fit_transform(_tokens(train[name]))
    except ValueError:  # no n-gram stands in two texts
        words = TfidfVectorizer(vocabulary={(UNKNOWN,): 0}, **settings)
        weights = words.fit_transform(_tokens(train[name]))
    size = min(COMPONENTS, *(n - 1 for n in weights.shape))
    model = TruncatedSVD(size, random_state=seed).fit(weights) if size > 0 else None

    def apply(rows: Inputs) -> tuple[Any, Floats]:
        found = words.transform(_tokens(rows[name]))
        return found, model.transform(found) if model else np.empty((found.shape[0], 0))

    return apply


def _tokens(ids: Array) -> list[list[int]]:
    return [row[row > 0].tolist() for row in np.asarray(ids)]


def _grams(tokens: list[int]) -> list[tuple[int, ...]]:
    return [(token,) for token in tokens] + list(pairwise(tokens))
