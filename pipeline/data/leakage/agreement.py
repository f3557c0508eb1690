"""Pairs of a train and a held-out row that agree in all columns, or in all but one, and how many would by chance.

Were columns to agree independently, pairs that agree in all but column j would be to those that differ in k too as the
chance to agree in k is to that to differ.  So what is a little less alike tells how much would be alike by chance, without
a guess at how values are spread: few coarse columns make many pairs of both sorts, copies make pairs of the first alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.data.engine import ROW_ID
from pipeline.data.leakage.finding import Finding
from pipeline.data.leakage.frames import GROUPED, Frames

TRAIN, HELD_OUT = 3000, 1000  # rows compared with each other
PAIRS = 100_000  # pairs that differ in two columns which are looked at
BEYOND = 5.0  # times the pairs that chance would make
ODD = 0.2  # pairs by chance, up to which a column may be the one in which copies differ
FEWEST = 3
SHARE = 0.01  # of the held-out rows, from which they are an error
EXAMPLES = 5


@dataclass(frozen=True)
class Agreement:
    """Counts of pairs: equal, differing in just one column (columns,), or two (columns, columns); odds to agree in each column."""

    names: tuple[str, ...]
    equal: int
    one: np.ndarray
    two: np.ndarray
    odds: np.ndarray
    pairs: np.ndarray  # (number, 2): held-out and train row of those that differ in one column, and `which` column
    which: np.ndarray

    @property
    def equal_by_chance(self) -> float:
        return float((self.one * self.odds).max(initial=0.0))

    @property
    def one_by_chance(self) -> np.ndarray:
        """For each column: pairs to expect that differ in it alone."""
        return (self.two * self.odds[None, :]).max(axis=1, initial=0.0)


def agreement(seen: Frames, *, target: bool) -> Agreement | None:
    """Compare the first rows of both sides, texts but for case, spaces and punctuation; with or without the targets."""
    apart = () if target else seen.schema.targets
    names = tuple(
        c.name for c in seen.schema.columns if c.kind not in ("id", "ignore", "sequence") and c.name not in (*apart, seen.split.by)
    )
    train, held_out = seen.train.head(TRAIN), seen.held_out.head(HELD_OUT)
    if train.empty or held_out.empty or len(names) < 2 or not {*names} <= {*train.columns}:
        return None
    codes = np.column_stack([_codes(pd.concat([train[name], held_out[name]], ignore_index=True), seen.kind(name)) for name in names])
    ours, theirs = codes[: len(train)], codes[len(train) :]
    differ = np.zeros((len(theirs), len(ours)), dtype="uint16")
    odds = np.empty(len(names))
    for at in range(len(names)):
        unlike = theirs[:, at, None] != ours[None, :, at]
        differ += unlike
        agree = 1 - unlike.mean()
        odds[at] = agree / max(1 - agree, 1 / unlike.size)
    one, two = np.argwhere(differ == 1), np.argwhere(differ == 2)
    share = max(1.0, len(two) / PAIRS)
    two = two[np.random.default_rng(0).choice(len(two), PAIRS, replace=False)] if share > 1 else two
    which = (theirs[one[:, 0]] != ours[one[:, 1]]).argmax(axis=1) if len(one) else np.zeros(0, dtype="int64")
    unlike = (theirs[two[:, 0]] != ours[two[:, 1]]).astype(float)
    both = unlike.T @ unlike * share
    np.fill_diagonal(both, 0.0)
    return Agreement(names, int((differ == 0).sum()), np.bincount(which, minlength=len(names)), both, odds, one, which)


def coincidence(seen: Frames) -> bool:
    """Whether rows that are equal on two sides are no more than chance makes where columns are few and coarse."""
    found = agreement(seen, target=True)
    return found is not None and found.equal <= BEYOND * found.equal_by_chance


def changed_copies(seen: Frames) -> list[Finding]:
    """Held-out rows that are a train row but for one column, where that is more than chance."""
    found = agreement(seen, target=False)
    if found is None or len(found.names) < 3:
        return []
    by_chance = found.one_by_chance
    odd = by_chance <= ODD
    pairs = found.pairs[odd[found.which]]
    rows, compared = len(set(pairs[:, 0].tolist())), min(HELD_OUT, len(seen.held_out))
    if rows < FEWEST or len(pairs) <= BEYOND * float(by_chance[odd].sum()):
        return []
    _, first = np.unique(pairs[:, 0], return_index=True)
    examples = [[seen.held_out[ROW_ID].iat[a], seen.train[ROW_ID].iat[b]] for a, b in pairs[first[:EXAMPLES]]]
    title = f"{rows:,} of {compared:,} validation and test rows ({rows / compared:.1%}) are a train row but for one column."
    details = {"examples": examples, "expected by chance": round(float(by_chance[odd].sum()), 2), "rows looked at": compared}
    grouped = seen.split.strategy in GROUPED
    severity = "note" if grouped else "error" if rows >= SHARE * compared else "warning"
    remedy = "split: {strategy: group, by: ...} with a column that such rows share, or remove them from the source"
    return [Finding("changed_copies", severity, (), title, remedy, details)]  # type: ignore[arg-type]


def _codes(values: pd.Series, kind: str) -> np.ndarray:
    """A number for each value, 0 for missing."""
    if kind in ("text", "category"):
        values = values.astype("string").str.lower().str.replace(r"[\W_]+", "", regex=True)
    return pd.factorize(values)[0].astype("int32") + 1
