"""Pseudo-references and pseudo-windows in which nothing changed: whole groups of the reference, drawn with replacement."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pipeline.monitoring.decay import Groups
from pipeline.monitoring.drift import Codes, Weights

_NEAR = 0.74  # a ratio that only windows larger than half of the reference have
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


@dataclass(frozen=True)
class Splits:
    """Disjoint parts of the reference's groups, in which nothing changed: (groups, n) weights of 0 and 1.

    rest, part: all groups, the part with the rows of a window, or half of all where that is less.  first, second: a quarter
    of the groups each.  ratio: of 1/n + 1/m for the whole reference and the window to that of rest and part.
    """

    rest: Weights
    part: Weights
    first: Weights
    second: Weights
    ratio: float

    @property
    def large(self) -> bool:
        """Whether a window is larger than half of the reference."""
        return self.ratio < _NEAR

    def scale(self, halves: float, quarters: float = 0.0) -> float:
        """What a distance between rest and part is to be multiplied by for the whole reference and the window.

        Errors go with a power of 1/n + 1/m: a half in the end, less where groups are few beside the values they may have.
        For large windows the power found between halves and quarters and the half that it tends to are taken at their mean.

        Args:
            halves: the usual distance of rest and part; quarters: of large windows, that of first and second.
        """
        power = 0.5
        if halves > 0 and quarters > 0:
            power = (0.5 + min(max(math.log2(quarters / halves), 0.0), 0.5)) / 2
        return float(self.ratio**power)


def draw_splits(rng: np.random.Generator, sizes: Codes, rows: int, count: int) -> Splits:
    """`count` splits for windows of `rows` rows."""
    total, quarter = int(sizes.sum()), max(len(sizes) // 4, 1)
    rows_of_part = min(rows, total // 2)
    part, first, second = (np.zeros((len(sizes), count), np.float32) for _ in range(3))
    for at in range(count):
        order = rng.permutation(len(sizes))
        part[order[: int(np.searchsorted(np.cumsum(sizes[order]), rows_of_part)) + 1], at] = 1
        first[order[:quarter], at] = 1
        second[order[quarter : 2 * quarter], at] = 1
    ratio = (1 / rows + 1 / total) / (1 / rows_of_part + 1 / (total - rows_of_part))
    return Splits(1 - part, part, first, second, ratio)


def _draw_window(rng: np.random.Generator, sizes: Codes, rows: int) -> Codes:
    """Draw whole groups with replacement until they hold at least `rows` rows."""
    draw = rng.integers(0, len(sizes), rows)  # each group has a row or more, so `rows` groups are enough
    return draw[: int(np.searchsorted(np.cumsum(sizes[draw]), rows)) + 1]
