"""Held-out rows that a trifle alone sets apart from a train row: noise in a number, beside case, spaces and ids."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from pipeline.data.engine import ROW_ID, SEPARATOR
from pipeline.data.leakage.finding import Finding
from pipeline.data.leakage.frames import GROUPED, Frames

CLOSE = 1e-3  # of a column's spread: numbers nearer than this count as equal
DIRECTIONS = 4  # random projections in which near rows are looked for
NEIGHBOURS = 5  # candidates looked at for each row
BEYOND = 5.0  # times the pairs that chance would make
SHARE = 0.01  # of the held-out rows, from which they are an error
EXAMPLES = 5
WORDY = 0.5  # share of distinct values from which a text tells its row


def noisy_copies(seen: Frames) -> Iterator[Finding]:
    """Held-out rows that differ from a train row by trifles in numbers, where that is more than chance."""
    pairs = near(seen)
    by_chance = chance(seen) if pairs else 0.0
    if len(pairs) <= BEYOND * by_chance + 2:
        return
    rows, grouped = len(seen.held_out), seen.split.strategy in GROUPED
    share = f"{len(pairs):,} of {rows:,} validation and test rows ({len(pairs) / rows:.1%})"
    title = f"{share} differ from a train row by trifles in numbers alone."
    details = {"examples": [list(pair) for pair in pairs[:EXAMPLES]], "expected by chance": round(by_chance, 1), "rows looked at": rows}
    severity = "note" if grouped else "error" if len(pairs) >= SHARE * rows else "warning"
    remedy = "split: {strategy: group, by: ...} with a column that such rows share, or remove them from the source"
    yield Finding("noisy_copies", severity, (), title, remedy, details)  # type: ignore[arg-type]


def near(seen: Frames, shuffle: int | None = None) -> list[tuple[str, str]]:
    """Pairs (held-out row, train row) alike in all but ids and target whose numbers are close, but not all equal.

    Texts must agree but for case, spaces and punctuation; numbers within `CLOSE` of their spread.  With `shuffle` each
    column of train is shuffled for itself first: the pairs that are left are those of chance.
    """
    from scipy.spatial import cKDTree

    names = [c.name for c in seen.schema.columns if c.kind not in ("id", "ignore", "sequence") and c.name not in seen.schema.targets]
    names = [name for name in names if name in seen.train and name != seen.split.by]
    if not any(seen.kind(name) in ("number", "datetime") for name in names) or seen.train.empty or seen.held_out.empty:
        return []
    rng = np.random.default_rng(seen.seed if shuffle is None else (seen.seed, shuffle))
    train = seen.train if shuffle is None else pd.DataFrame({n: seen.train[n].to_numpy()[rng.permutation(len(seen.train))] for n in names})
    numbers = [name for name in names if seen.kind(name) in ("number", "datetime")]
    texts = [name for name in names if name not in numbers]
    sides = {"train": train, "held": seen.held_out}
    keys = {side: _folded(frame, texts, numbers) for side, frame in sides.items()}
    values = {side: _values(frame, numbers, seen) for side, frame in sides.items()}
    codes = pd.factorize(pd.concat([keys["train"], keys["held"]], ignore_index=True))[0].astype("float64")
    directions = rng.normal(size=(len(numbers), DIRECTIONS)) / np.sqrt(max(len(numbers), 1))
    reach = 3 * CLOSE * max(np.abs(directions).sum(axis=0).max(initial=0.0), 1e-9)
    points = {"train": values["train"] @ directions, "held": values["held"] @ directions}
    tree = cKDTree(np.column_stack([codes[: len(train)] * 1e3, points["train"]]))
    candidates = tree.query(
        np.column_stack([codes[len(train) :] * 1e3, points["held"]]), k=min(NEIGHBOURS, len(train)), distance_upper_bound=reach
    )[1]
    candidates = candidates.reshape(len(seen.held_out), -1)
    pairs = []
    for at, row in enumerate(candidates):
        gaps = [(float(np.abs(values["held"][at] - values["train"][other]).max(initial=0.0)), other) for other in row[row < len(train)]]
        gap, other = min(gaps, default=(np.inf, 0))
        if 0 < gap <= CLOSE:
            pairs.append((seen.held_out[ROW_ID].iat[at], seen.train[ROW_ID].iat[other]))
    return pairs


def chance(seen: Frames) -> float:
    """Near copies to expect by chance: with columns shuffled for themselves; none where a text tells each row apart."""
    wordy = [
        c.name for c in seen.schema.columns if c.kind in ("text", "image", "audio") or (c.kind == "category" and c.name in seen.features)
    ]
    if any(seen.train[name].nunique() > WORDY * len(seen.train) for name in wordy if name in seen.train):
        return 0.0
    return float(len(near(seen, shuffle=1)))


def _folded(frame: pd.DataFrame, texts: list[str], numbers: list[str]) -> pd.Series:
    """All texts of a row without case, spaces and punctuation, and which numbers are missing, as one text."""
    parts = [frame[name].astype("string").str.lower().str.replace(r"[\W_]+", "", regex=True).fillna("\x1e") for name in texts]
    parts += [frame[name].isna().map({True: "1", False: "0"}).astype("string") for name in numbers]
    joined = pd.Series("", index=frame.index, dtype="string")
    for part in parts:
        joined = joined + SEPARATOR + part
    return joined


def _values(frame: pd.DataFrame, numbers: list[str], seen: Frames) -> np.ndarray:
    """Numbers and dates (rows, columns) in units of their spread in train; missing as 0."""
    columns = []
    for name in numbers:
        if seen.kind(name) == "datetime":
            origin = pd.Timestamp("1970-01-01")
            reference, mine = ((pd.to_datetime(f[name]) - origin) / pd.Timedelta(days=1) for f in (seen.train, frame))
        else:
            reference, mine = seen.train[name], frame[name]
        spread = float(np.nanstd(reference.to_numpy("float64", na_value=np.nan))) if reference.notna().any() else 1.0
        columns.append(np.nan_to_num(mine.to_numpy("float64", na_value=np.nan) / (spread or 1.0), posinf=0.0, neginf=0.0))
    return np.column_stack(columns) if columns else np.zeros((len(frame), 0))
