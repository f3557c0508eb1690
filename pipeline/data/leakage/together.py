"""Columns that give a class away together, though none does alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np

from pipeline.data.leakage.finding import Finding
from pipeline.data.leakage.frames import Frames, inputs

MOST = 3  # columns that are named
TOGETHER = 0.98  # share of the uncertainty that a shallow tree takes away
FEWEST = 100
ROWS = 6000


def together(seen: Frames, single: Collection[str]) -> Iterator[Finding]:
    """Columns, beside those of `single`, by which a shallow tree tells the class nearly without fault."""
    names = [name for name in seen.features if name not in single]
    frame = seen.train.dropna(subset=[seen.schema.target]).head(ROWS)
    if len(frame) < FEWEST or len(names) < 2:
        return
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier

    _, labels = np.unique(frame[seen.schema.target].astype(str), return_inverse=True)
    counts = np.bincount(labels)
    if counts.min() < 3 or len(counts) > 50:
        return
    x = inputs(frame, names, {name: seen.kind(name) for name in names}, frame)
    tree = DecisionTreeClassifier(max_depth=4, min_samples_leaf=5, random_state=seen.seed)
    told = cross_val_predict(tree, x, labels, cv=StratifiedKFold(3, shuffle=True, random_state=seen.seed))
    largest = counts.max() / len(labels)
    share = ((told == labels).mean() - largest) / (1 - largest)
    if share < TOGETHER:
        return
    used = np.argsort(-tree.fit(x, labels).feature_importances_)[:MOST]
    columns = tuple(names[at] for at in used if tree.feature_importances_[at] > 0.01)
    title = f"{' and '.join(columns)} together tell {share:.1%} of {seen.schema.target} by a tree of four questions: few honest columns do."
    yield Finding(
        "target_together", "warning", columns, title, "look whether they are known before the target", {"share": round(float(share), 4)}
    )
