"""What the network takes for what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.run_page.reading import Row

CLASSES = 12  # of a confusion matrix that is drawn


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix: classes, and for each true class the cells as (rows, share of the true class in percent)."""

    classes: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[int, float], ...]], ...]


@dataclass(frozen=True)
class Confused:
    """What is taken for what: the matrix of few classes, and the pairs that are taken for each other most."""

    matrix: Matrix | None
    pairs: tuple[tuple[str, str, int, float], ...]
    wrong: int
    of: int


def confused(rows: Sequence[Row], classes: Sequence[str]) -> Confused | None:
    """From true and predicted class of each test row, each by its code or name."""
    if not rows:
        return None
    names = {str(code): name for code, name in enumerate(classes)}
    counts: dict[tuple[str, str], int] = {}
    for row in rows:
        pair = (row["actual"], row["predicted"])
        counts[pair] = counts.get(pair, 0) + 1
    codes = [str(code) for code in range(len(classes))]
    if any(one not in names for pair in counts for one in pair):
        codes = sorted({one for pair in counts for one in pair})
        names = {code: code for code in codes}
    totals = {code: sum(n for (actual, _), n in counts.items() if actual == code) for code in codes}
    wrong = sorted(((n, *pair) for pair, n in counts.items() if pair[0] != pair[1]), key=lambda one: (-one[0], one[1:]))
    matrix = None
    if 1 < len(codes) <= CLASSES:
        shares = {a: [(counts.get((a, p), 0), round(100 * counts.get((a, p), 0) / (totals[a] or 1), 1)) for p in codes] for a in codes}
        lines = ((names[a], tuple(cells)) for a, cells in shares.items())
        matrix = Matrix(tuple(names[code] for code in codes), tuple(lines))
    pairs = tuple((names[a], names[p], n, round(100 * n / totals[a], 1)) for n, a, p in wrong[:8])
    return Confused(matrix, pairs, sum(n for n, *_ in wrong), len(rows))
