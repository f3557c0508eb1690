"""Covariate shift: can a small model tell train rows from held-out ones?"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
import pandas as pd

from pipeline.data.leakage.finding import Finding
from pipeline.data.leakage.frames import GROUPED, Frames, inputs

ROWS = 3000  # of each side
FOLDS = 3
AUC = 0.6
FEWEST = 60
SHOWN = 3
JUMP = 0.3  # change of a missing share


def shift(seen: Frames, unread: Collection[str] = ()) -> Iterator[Finding]:
    """The cross-validated AUC of telling train from held-out rows, where it is surely above `AUC`.

    By columns that the network may read: an id that grows with time, or a path, tells the side and no change of the rows.
    """
    time = seen.split.by if seen.split.strategy == "time" else None
    names = [name for name in seen.features if name != time and name not in unread and seen.kind(name) != "datetime"]
    train, held_out = seen.train.head(ROWS), seen.held_out.head(ROWS)
    if min(len(train), len(held_out)) < FEWEST or not names:
        return
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import GroupKFold, StratifiedKFold, cross_val_predict
    from threadpoolctl import threadpool_limits

    both = pd.concat([train, held_out], ignore_index=True)
    x = inputs(both, names, {name: seen.kind(name) for name in names}, both)
    side = np.r_[np.zeros(len(train)), np.ones(len(held_out))]
    grouped = seen.split.strategy in GROUPED and seen.split.by in both
    groups = pd.factorize(both[seen.split.by])[0] if grouped else None
    if groups is not None and len(set(groups)) < 2 * FOLDS:
        return
    folds = GroupKFold(FOLDS) if grouped else StratifiedKFold(FOLDS, shuffle=True, random_state=seen.seed)
    with threadpool_limits(1):
        model = HistGradientBoostingClassifier(max_iter=30, max_leaf_nodes=8, early_stopping=False, random_state=seen.seed)
        scores = cross_val_predict(model, x, side, cv=folds, groups=groups, method="predict_proba")[:, 1]
    auc = float(roc_auc_score(side, scores))
    count = (
        len({*groups})
        if groups is not None
        else min(_independent(scores[side == at], rows, time) for at, rows in enumerate((train, held_out)))
    )
    low = _lower(auc, count)
    if low <= AUC:
        return
    single = {name: abs(_auc(x[:, at], side) - 0.5) for at, name in enumerate(names)}
    top = sorted(single, key=lambda name: -single[name])[:SHOWN]
    expected = seen.split.strategy in ("time", "given", *GROUPED)
    title = f"A model tells train from held-out rows with AUC {auc:.2f} (at least {low:.2f}), most by {', '.join(top)}"
    title += ": the rows changed between the sides." if expected else ", though the sides were drawn at random."
    remedy = (
        "expect the result to hold for such a change only" if expected else "see the other findings; a row order or an id may tell the side"
    )
    yield Finding(
        "covariate_shift", "note" if grouped else "warning", tuple(top), title, remedy, {"auc": round(auc, 4), "low": round(low, 4)}
    )


def jumps(seen: Frames) -> Iterator[Finding]:
    """In a split by time: columns whose missing share differs much between train and the held-out rows."""
    if seen.split.strategy != "time" or min(len(seen.train), len(seen.held_out)) < FEWEST:
        return
    for name in seen.features:
        before, after = (float(frame[name].isna().mean()) for frame in (seen.train, seen.held_out))
        if abs(before - after) > JUMP:
            title = f"{name} is missing in {before:.0%} of train and in {after:.0%} of the held-out rows: it came or went with time."
            yield Finding("missing_jumps", "warning", (name,), title, f"data: {{columns: {{{name}: ignore}}}}")


def _independent(scores: np.ndarray, rows: pd.DataFrame, time: str | None) -> float:
    """How many rows that do not depend on each other say as much: in time, neighbours are alike, and a slow wave is no change.

    The length of the series over its integrated autocorrelation time (Sokal 1997, with his window of five times that time).
    """
    if time is None or time not in rows:
        return float(len(scores))
    x = scores[np.argsort(rows[time].to_numpy(), kind="stable")]
    x = x - x.mean()
    spectrum = np.abs(np.fft.rfft(x, 2 * len(x))) ** 2
    alike = np.fft.irfft(spectrum)[: len(x)]
    if alike[0] <= 0:
        return float(len(scores))
    spans = 2 * np.cumsum(alike / alike[0]) - 1
    ends = np.flatnonzero(np.arange(len(spans)) >= 5 * spans)
    return float(len(x) / max(1.0, spans[ends[0] if len(ends) else -1]))


def _lower(auc: float, count: float) -> float:
    """The lower end of a 95% interval of an AUC whose variance is at most auc (1 - auc) / count (Hanley & McNeil 1982), by Wilson."""
    z = 1.96**2 / max(count, 1.0)
    return float((auc + z / 2 - np.sqrt(z * (auc * (1 - auc) + z / 4))) / (1 + z))


def _auc(values: np.ndarray, side: np.ndarray) -> float:
    """AUC of one column, missing values lowest."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(side, np.nan_to_num(values, nan=-1e308)))
