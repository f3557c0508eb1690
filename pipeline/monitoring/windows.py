"""Windows of rows to be judged: typed columns, the model's predictions, labels, losses and groups."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd

from pipeline.data.fitted import Preprocessor
from pipeline.evaluation import metrics
from pipeline.monitoring import embedding
from pipeline.monitoring.drift import Kind
from pipeline.monitoring.watching import course, features

PREDICTION = "model prediction"


@dataclass(frozen=True)
class Window:
    """Rows with what the model made of them.

    frame: (rows,) what is watched of the model's columns (`watching`), PREDICTION, and the target's codes or values under its
    own name.  outputs: as in `heads.predictions`.  losses: (rows,) log loss or squared error, nan where there is no label.
    groups: (rows,) codes; rows with an equal code belong together.  A row of a forecast is one of its windows.
    """

    frame: pd.DataFrame
    outputs: np.ndarray
    losses: np.ndarray
    groups: np.ndarray

    def __len__(self) -> int:
        return len(self.frame)

    def take(self, rows: np.ndarray) -> Window:
        """The rows at these places."""
        return Window(self.frame.iloc[rows].reset_index(drop=True), self.outputs[rows], self.losses[rows], self.groups[rows])


def window(clean: pd.DataFrame, outputs: np.ndarray, fitted: Preprocessor, *, group: str | None) -> Window:
    """Rows of a clean table and the model's outputs for them, ready to be judged."""
    target = labels(clean[fitted.target.column], fitted)
    frame = features(clean, fitted)
    if fitted.task == "multiclass":
        named = np.asarray(fitted.target.classes, dtype=object)[np.nan_to_num(outputs, nan=-1).argmax(axis=1)]
        frame[PREDICTION] = np.where(np.isnan(outputs).any(axis=1), None, named)
        frame[fitted.target.column] = clean[fitted.target.column].astype(object)
    else:
        frame[PREDICTION] = outputs
        frame[fitted.target.column] = target
    groups = np.arange(len(clean)) if group is None else codes(clean[group])
    return Window(frame, outputs, losses(target, outputs, fitted), groups)


def forecast_window(
    steps: Mapping[str, np.ndarray], past: np.ndarray, truth: np.ndarray, outputs: np.ndarray, fitted: Preprocessor, groups: np.ndarray
) -> Window:
    """Windows of a forecast, each as a row: the prediction and the target are means over steps and targets, less the last value seen.

    Args:
        steps: channels (windows, look_back) by column; past: the targets' (windows, look_back, targets), NaN where missing.
        truth and outputs: (windows, horizon, targets) in the targets' units.
    """
    assert fitted.forecast is not None
    scale = np.array([target.std or 1.0 for target in fitted.forecast.targets])
    at = np.maximum.accumulate(np.where(np.isnan(past), 0, np.arange(past.shape[1])[:, None]), axis=1)[:, -1:]
    last = np.take_along_axis(past, at, axis=1)  # (windows, 1, targets), the last known one
    frame = course(steps)
    frame[PREDICTION] = ((outputs - last) / scale).mean(axis=(1, 2))
    frame[fitted.target.column] = ((truth - last) / scale).mean(axis=(1, 2))
    return Window(frame, outputs, (((truth - outputs) / scale) ** 2).mean(axis=(1, 2)), groups)


def with_columns(rows: Window, columns: Mapping[str, np.ndarray]) -> Window:
    """The same rows with further watched numbers (rows,)."""
    return replace(rows, frame=rows.frame.assign(**columns))


def codes(groups: pd.Series) -> np.ndarray:
    """Equal values as equal codes, each missing one on its own; in the order of md5, so that no code tells a group's size."""
    names = [f"missing {at}" if value is None or value != value else str(value) for at, value in enumerate(groups)]
    order = sorted(set(names), key=lambda name: hashlib.md5(name.encode(), usedforsecurity=False).digest())
    return np.asarray(pd.Categorical(names, categories=order).codes, dtype=np.int64)


def joined(parts: Sequence[Window]) -> Window:
    """The rows of all parts, one after another."""
    return Window(
        pd.concat([part.frame for part in parts], ignore_index=True),
        np.concatenate([part.outputs for part in parts]),
        np.concatenate([part.losses for part in parts]),
        np.concatenate([part.groups for part in parts]),
    )


def kinds(window: Window, fitted: Preprocessor, hidden: Collection[str] = ()) -> dict[str, Kind]:
    """How each watched column is compared: those of the model's columns, and its prediction.

    Args:
        hidden: columns whose values are not known, such as hashed ones: with them go their parts, and what the network makes of all.
    """
    hidden = {*hidden, *(name for name, read in fitted.made.items() if set(read) & set(hidden))}
    apart = {*hidden, *(embedding.names() if set(hidden) & set(fitted.all_columns) and embedding.worth(fitted) else ())}
    apart |= {name for name in window.frame if name not in fitted.columns and str(name).rpartition(" (")[0] in hidden}
    watched = [name for name in window.frame if name not in apart and name != fitted.target.column]
    return {name: "number" if window.frame[name].dtype == np.float64 else "category" for name in watched}


def labels(target: pd.Series, fitted: Preprocessor) -> np.ndarray:
    """Class codes or values as floats, nan where there is no label (or a class that train has not)."""
    if fitted.task == "regression":
        return target.to_numpy(dtype="float64", na_value=np.nan)
    codes: Mapping[str, int] = {name: code for code, name in enumerate(fitted.target.classes)}
    return target.map(codes).to_numpy(dtype="float64", na_value=np.nan)


def truth(rows: Window, fitted: Preprocessor) -> np.ndarray:
    """(rows,) class codes or values as floats, nan where there is no label."""
    target = rows.frame[fitted.target.column]
    return labels(target, fitted) if fitted.task == "multiclass" else target.to_numpy(dtype="float64", na_value=np.nan)


def finite(outputs: np.ndarray) -> np.ndarray:
    """(rows,) whether all outputs of a row are numbers: an answer was given."""
    found: np.ndarray = np.isfinite(outputs).all(axis=tuple(range(1, outputs.ndim)))
    return found


def losses(target: np.ndarray, outputs: np.ndarray, fitted: Preprocessor) -> np.ndarray:
    """Log loss (nats) or squared error of each row, nan where there is no label or no answer."""
    known = ~np.isnan(target) & finite(outputs)
    filled = np.where(known, target, 0)
    answered = np.where(known if outputs.ndim == 1 else known[:, None], outputs, 0.5)
    found = metrics.losses(fitted.task, filled if fitted.task == "regression" else filled.astype(int), answered)
    return np.where(known, found, np.nan)


def cut(groups: np.ndarray, size: int, *, most: int) -> Iterator[np.ndarray]:
    """The places of the rows of at most `most` windows of at least `size` rows, whole groups together, in the order of their codes.

    What is left at the end is a window of its own from half the size on; less goes to the last window.
    """
    if not len(groups):
        return
    size = max(size, -(-len(groups) // most))
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    ends = np.append(starts[1:], len(order))
    cuts = [0]
    for end in ends:
        if end - cuts[-1] >= size:
            cuts.append(int(end))
    if len(order) - cuts[-1] >= size / 2 or len(cuts) == 1:
        cuts.append(len(order))
    cuts[-1] = len(order)
    for start, end in pairwise(cuts):
        yield order[start:end]
