"""Pseudo-references and pseudo-windows in which nothing changed: whole groups of the reference, drawn with replacement."""

from __future__ import annotations

import math

import numpy as np

from pipeline.monitoring.decay import Groups
from pipeline.monitoring.drift import Codes, Weights

_DRAWN_ONE_BY_ONE = 20_000  # rows of a window; the groups of a larger one are drawn as counts


def group_codes(groups: Groups) -> tuple[Codes, Codes]:
    """Groups (rows,) as codes from 0 (rows,) and the size of each group (groups,)."""
    _, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    return codes.astype(np.intp), sizes


def comparable_rows(groups: Groups, reference_groups: Groups) -> int:
    """How many rows, grouped as in the reference, are worth as much as this window: the `rows` to calibrate for.

    A window of few large groups holds less than its rows suggest.  Its effective number of groups (sum n)^2 / sum n^2
    (Kish 1965) is turned into rows with the reference's sum n^2 / sum n; never more than the window has.
    """
    sizes, of_reference = group_codes(groups)[1], group_codes(reference_groups)[1]
    effective = sizes.sum() ** 2 / max((sizes**2).sum(), 1)
    return min(int(sizes.sum()), round(float(effective * (of_reference**2).sum() / of_reference.sum())))


def draw_references(rng: np.random.Generator, sizes: Codes, count: int) -> Weights:
    """How often each group stands in each of `count` pseudo-references: (groups, count)."""
    drawn = (rng.integers(0, len(sizes), len(sizes)) for _ in range(count))
    return np.stack([np.bincount(draw, minlength=len(sizes)).astype(np.float32) for draw in drawn], axis=1)


def draw_windows(rng: np.random.Generator, sizes: Codes, rows: int, count: int) -> Weights:
    """How often each group stands in each of `count` pseudo-windows of `rows` rows or a little more: (groups, count)."""
    if rows > _DRAWN_ONE_BY_ONE:
        groups = math.ceil(rows / sizes.mean())
        return rng.multinomial(groups, np.full(len(sizes), 1 / len(sizes)), size=count).T.astype(np.float32)
    drawn = (_draw_window(rng, sizes, rows) for _ in range(count))
    return np.stack([np.bincount(draw, minlength=len(sizes)).astype(np.float32) for draw in drawn], axis=1)


def draw_splits(rng: np.random.Generator, sizes: Codes, rows: int, count: int) -> tuple[Weights, Weights, float]:
    """Splits of the reference's groups into a rest and a part of `rows` rows, of half of all rows at most: (groups, count) each.

    The third value is what a distance between the two is to be multiplied by for a whole reference and a window of `rows`
    rows: errors go with the root of 1/n + 1/m.
    """
    total = int(sizes.sum())
    part = min(rows, total // 2)
    held = np.zeros((len(sizes), count), np.float32)
    for at in range(count):
        order = rng.permutation(len(sizes))
        held[order[: int(np.searchsorted(np.cumsum(sizes[order]), part)) + 1], at] = 1
    nearer = math.sqrt((1 / rows + 1 / total) / (1 / part + 1 / (total - part)))
    return 1 - held, held, nearer


def _draw_window(rng: np.random.Generator, sizes: Codes, rows: int) -> Codes:
    """Draw whole groups with replacement until they hold at least `rows` rows."""
    draw = rng.integers(0, len(sizes), rows)  # each group has a row or more, so `rows` groups are enough
    return draw[: int(np.searchsorted(np.cumsum(sizes[draw]), rows)) + 1]
