"""Columns that give a class away together, though none does alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import combinations
from typing import Any

import numpy as np

from pipeline.data.leakage.finding import Finding
from pipeline.data.leakage.frames import Frames, inputs

MOST = 3  # columns that are named
TOGETHER = 0.98  # share of the uncertainty that a shallow tree takes away
A_PAIR = 0.97  # and that two columns do, beside the rows at borders
FEWEST = 100
ROWS = 6000
COLUMNS = 40  # of which all pairs are looked at
PARTS = 12  # ranges of a number, or values of a category, in a pair
WORTH = 0.5  # share that the ranges of a pair must take away for a tree to look closer
CLOSER = 5  # pairs
DEEP = 8
BORDERS = 4  # rows beside the borders that part of the rows leaves open
UNSURE = 120  # rows not of the largest class, from which a pair is judged


def together(seen: Frames, single: Collection[str]) -> Iterator[Finding]:
    """Columns, beside those of `single`, by which a shallow tree tells the class nearly without fault.

    A tree over all columns finds what a first question helps with; where no column helps alone, such as in an exclusive or,
    pairs are cut into ranges and a tree over the best of them judges.
    """
    names = [name for name in seen.features if name not in single]
    frame = seen.train.dropna(subset=[seen.schema.target]).head(ROWS)
    if seen.schema.task not in ("binary", "multiclass") or len(frame) < FEWEST or len(names) < 2:
        return
    from sklearn.tree import DecisionTreeClassifier

    _, labels = np.unique(frame[seen.schema.target].astype(str), return_inverse=True)
    counts = np.bincount(labels)
    if counts.min() < 3 or len(counts) > 50:
        return
    x = inputs(frame, names, {name: seen.kind(name) for name in names}, frame)
    unsure = len(labels) - int(counts.max())
    tree = DecisionTreeClassifier(max_depth=4, min_samples_leaf=5, random_state=seen.seed)
    wrong = _wrong(tree, x, labels, seen.seed)
    if wrong <= (1 - TOGETHER) * unsure:
        weights = tree.fit(x, labels).feature_importances_
        yield _finding([names[at] for at in np.argsort(-weights)[:MOST] if weights[at] > 0.01], wrong, unsure, seen)
        return
    if unsure < UNSURE:
        return
    deep = DecisionTreeClassifier(max_depth=DEEP, min_samples_leaf=3, random_state=seen.seed)
    for pair in _pairs(x[:, :COLUMNS], labels):
        wrong = min(_wrong(deep, x[:, pair], labels, seen.seed), _wrong_of_a_pair(x[:, pair], labels, seen.seed))
        if wrong <= (1 - A_PAIR) * unsure + BORDERS:
            yield _finding([names[at] for at in pair], wrong, unsure, seen)
            return


def _wrong(tree: Any, x: np.ndarray, labels: np.ndarray, seed: int) -> int:
    """Rows of which a tree of the other folds tells another class."""
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    return int((cross_val_predict(tree, x, labels, cv=StratifiedKFold(3, shuffle=True, random_state=seed)) != labels).sum())


def _wrong_of_a_pair(pair: np.ndarray, labels: np.ndarray, seed: int) -> int:
    """Rows of which two columns tell another class: by their ranges, and a tree that puts right what lies beside the ranges' ends.

    A tree alone asks in vain where no first question helps.
    """
    from sklearn.model_selection import StratifiedKFold
    from sklearn.tree import DecisionTreeClassifier

    cells, wrong = _cells(*(_ranges(column) for column in pair.T)), 0
    for fitted, told in StratifiedKFold(3, shuffle=True, random_state=seed).split(pair, labels):
        counts = np.zeros((cells.max() + 1, labels.max() + 1))
        np.add.at(counts, (cells[fitted], labels[fitted]), 1)
        usual = (counts[cells] == counts[cells].max(axis=1, keepdims=True)).astype(float)  # (rows, classes)
        tree = DecisionTreeClassifier(max_depth=DEEP, min_samples_leaf=3, random_state=seed)
        asked = np.column_stack([usual, pair])
        wrong += int((tree.fit(asked[fitted], labels[fitted]).predict(asked[told]) != labels[told]).sum())
    return wrong


def _pairs(x: np.ndarray, labels: np.ndarray) -> list[list[int]]:
    """The pairs of columns whose ranges tell most, each row told from the others."""
    codes, classes = [_ranges(column) for column in x.T], int(labels.max()) + 1
    largest = np.bincount(labels).max()
    shares = {}
    for a, b in combinations(range(len(codes)), 2):
        counts = np.bincount(_cells(codes[a], codes[b]) * classes + labels, minlength=(PARTS + 1) ** 2 * classes)
        top = np.sort(counts.reshape(-1, classes), axis=1)
        right = top[:, -1][top[:, -1] - 1 > top[:, -2]].sum()  # where the class stays the commonest without the row itself
        shares[a, b] = (right - largest) / (len(labels) - largest)
    best = sorted(shares, key=lambda pair: -shares[pair])[:CLOSER]
    return [list(pair) for pair in best if shares[pair] >= WORTH]


def _cells(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """A number for each pair of ranges."""
    return a * (PARTS + 1) + b


def _ranges(values: np.ndarray) -> np.ndarray:
    """Parts of even size, or the values where they are few; missing ones are a part of their own."""
    there = np.isfinite(values)
    distinct = np.unique(values[there])
    ends = distinct[1:] if len(distinct) <= PARTS else np.unique(np.quantile(values[there], np.arange(1, PARTS) / PARTS))
    return np.where(there, np.searchsorted(ends, np.where(there, values, 0.0), side="right"), PARTS)


def _finding(columns: list[str], wrong: int, unsure: int, seen: Frames) -> Finding:
    share = 1 - wrong / unsure
    names = " and ".join(columns)
    title = f"{names} together tell {share:.1%} of {seen.schema.target} by a few questions: few honest columns do."
    remedy = "look whether they are known before the target; if not, data: {columns: {" + f"{columns[0]}: ignore" + "}}"
    return Finding("target_together", "warning", tuple(columns), title, remedy, {"share": round(share, 4)})
