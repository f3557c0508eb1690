"""Labels of train that look wrong, by confident learning (Northcutt et al. 2021); listed, never changed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipeline.data.leakage.finding import Finding
from pipeline.data.leakage.frames import Frames, ids, inputs

ROWS = 6000
FOLDS = 3
EXAMPLES = 20
SHARE = 0.15  # probability below which a label looks wrong
FEWEST = 60


def label_errors(seen: Frames) -> Iterator[Finding]:
    """Train rows that a model of the other rows surely puts in another class."""
    frame = seen.train.dropna(subset=[seen.schema.target]).head(ROWS)
    if seen.schema.task not in ("binary", "multiclass") or len(frame) < FEWEST or not seen.features:
        return
    counts = frame[seen.schema.target].value_counts()
    frame = frame[frame[seen.schema.target].isin(counts[counts >= FOLDS].index)]
    classes, labels = np.unique(frame[seen.schema.target].astype(str), return_inverse=True)
    if len(classes) < 2 or len(classes) > 50:
        return
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import log_loss
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from threadpoolctl import threadpool_limits

    x = inputs(frame, seen.features, {name: seen.kind(name) for name in seen.features}, frame)
    with threadpool_limits(1):
        leaf = min(60, len(frame) // 25)  # large leaves: a model that follows single labels does not doubt them
        model = HistGradientBoostingClassifier(
            max_iter=60, max_leaf_nodes=8, min_samples_leaf=leaf, early_stopping=False, random_state=seen.seed
        )
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seen.seed)
        found = cross_val_predict(model, x, labels, cv=folds, method="predict_proba")
    shares = np.bincount(labels) / len(labels)
    if log_loss(labels, found) >= log_loss(labels, np.tile(shares, (len(labels), 1))):
        return  # a model that knows no more than the classes' shares has nothing to doubt a label by
    usual = np.array([found[labels == at, at].mean() for at in range(len(classes))])
    confident = np.minimum(usual, 1 - SHARE)  # each class' usual confidence; where all is easy, nothing is sure enough for it
    other = np.where(found >= confident, found, -1.0)
    other[np.arange(len(labels)), labels] = -1.0
    own = found[np.arange(len(labels)), labels]
    wrong = np.flatnonzero((other.max(axis=1) > 0) & (own < SHARE))
    if not len(wrong):
        return
    order = wrong[np.argsort(own[wrong], kind="stable")]
    names = ids(frame)
    examples = [
        [names[at], f"{classes[labels[at]]} (probability {own[at]:.2g}), looks like {classes[other[at].argmax()]}"]
        for at in order[:EXAMPLES]
    ]
    title = (
        f"{len(wrong):,} of {len(frame):,} train rows ({len(wrong) / len(frame):.1%}) look as if their label were wrong; some always do."
    )
    yield Finding(
        "suspected_labels", "note", (seen.schema.target,), title, "look at the rows listed; nothing is changed", {"examples": examples}
    )
