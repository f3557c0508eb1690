"""Profiles: things without a key of their own, such as persons who are equal in many columns from row to row."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pandas as pd

from pipeline.data.leakage.finding import Finding
from pipeline.data.leakage.frames import GROUPED, Frames

ROWS = 10_000  # of each side
COLUMNS = 12  # of most values, whose pairs are looked at
FEWEST = 50  # pairs of rows that are equal in two columns
VALUES = 50  # distinct pairs of values
MOST_ROWS = 50  # rows a pair of values, on average
SHARED = 0.05  # share of the held-out rows whose pair of values stands in train
ALIKE = 0.5  # how much of the way from chance to equality such rows go in a column that belongs to the profile
TELLING = 1 / 3  # share of the other columns that do
SURE = 0.5  # share of the held-out rows, and of the other columns, from which it is an error
CHANCE = 20  # pairs equal in just one of the two columns, from which chance is taken


def profiles(seen: Frames) -> Iterator[Finding]:
    """Columns that tell things apart only together, where rows of one thing stand on both sides.

    Rows that are equal in two columns agree in a third of the other ones far more often than rows that are equal in just
    one of the two: a column that follows from one of them, as a country does from a city, is no sign of a thing.
    """
    names = [c.name for c in seen.schema.columns if c.kind in ("number", "category", "boolean", "datetime")]
    names = [name for name in names if name not in (*seen.schema.targets, seen.split.by) and name in seen.train]
    if len(names) < 4 or seen.train.empty or seen.held_out.empty:
        return
    both = pd.concat([seen.train.head(ROWS), seen.held_out.head(ROWS)], ignore_index=True)
    held = np.arange(len(both)) >= min(ROWS, len(seen.train))
    codes = np.column_stack([pd.factorize(both[name])[0] + 1 for name in names]).astype("int64")  # 0 is missing
    distinct = codes.max(axis=0)
    random = np.random.default_rng(0).permutation(len(codes))
    by_chance = (codes == codes[random]).mean(axis=0)
    keys = [at for at in np.argsort(-distinct, kind="stable") if 2 < distinct[at] < 0.8 * len(codes)][:COLUMNS]
    best: tuple[int, float, tuple[int, int], list[int]] | None = None
    for a, b in combinations(keys, 2):
        alike, mean = _alike(codes, a, b, by_chance)
        others = len(names) - 2
        if len(alike) >= max(2, TELLING * others) and (best is None or (len(alike), mean) > best[:2]):
            best = (len(alike), mean, (a, b), alike)
    if best is None:
        return
    a, b = best[2]
    pair = codes[:, a] * (distinct[b] + 1) + codes[:, b]
    shared = float(np.isin(pair[held], pair[~held]).mean())
    if shared < SHARED:
        return
    columns = tuple(names[at] for at in sorted((a, b, *best[3])))
    title = (
        f"{shared:.0%} of the validation and test rows are equal to a train row in {names[a]} and {names[b]}, and such rows are alike in "
        f"{len(best[3])} of {len(names) - 2} other columns: rows of one thing, such as a person, seem to stand on both sides."
    )
    remedy = f"split: {{strategy: group, by: ...}} with a column that names the thing, made in the source of {', '.join(columns)}"
    sure = seen.split.strategy not in (*GROUPED, "given") and shared >= SURE and len(best[3]) >= SURE * (len(names) - 2)
    severity = "error" if sure and seen.split.strategy != "time" else "note"  # rows of one sort may be as alike as rows of one thing
    yield Finding("entity", severity, columns, title, remedy, {"shared": round(shared, 4), "key": [names[a], names[b]]})  # type: ignore[arg-type]


def _alike(codes: np.ndarray, a: int, b: int, by_chance: np.ndarray) -> tuple[list[int], float]:
    """Columns in which rows equal in `a` and `b` are alike, and by how much on average."""
    codes = codes[(codes[:, a] > 0) & (codes[:, b] > 0)]
    chance = by_chance.copy()
    same = np.zeros(len(chance))
    for first, second in ((a, b), (b, a)):
        order = np.lexsort((codes[:, second], codes[:, first]))
        ours, others = codes[order[:-1]], codes[order[1:]]
        equal = ours[:, first] == others[:, first]
        twice = equal & (ours[:, second] == others[:, second])
        groups = len(codes) - int(twice.sum())
        if twice.sum() < FEWEST or groups < VALUES or len(codes) / groups > MOST_ROWS:
            return [], 0.0
        once = equal & ~twice
        if once.sum() >= CHANCE:
            chance = np.maximum(chance, (ours[once] == others[once]).mean(axis=0))
        found = ours[twice]  # such rows may be of one sort, as new customers are, and alike for that
        chance = np.maximum(chance, (found == found[np.random.default_rng(0).permutation(len(found))]).mean(axis=0))
        same = (found == others[twice]).mean(axis=0)
    gain = np.where(chance < 0.98, (same - chance) / np.maximum(1 - chance, 1e-9), 0.0)
    gain[[a, b]] = 0.0
    alike = np.flatnonzero(gain > ALIKE)
    return alike.tolist(), float(gain[alike].mean()) if len(alike) else 0.0
