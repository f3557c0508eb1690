"""Cross-validation: a network for each fold, and predictions of every row by one that never saw it.

Fold k is predicted by a network trained on all folds but k and the next one, whose rows tell it when to stop: so its rows
choose nothing.  Preprocessing is that of the training itself, fitted on the train side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.config import ModelParams, TrainParams
from pipeline.data.arrays import Side
from pipeline.data.fitted import Preprocessor
from pipeline.errors import UserError
from pipeline.evaluation import metrics
from pipeline.models.compiled import Shelf
from pipeline.models.fit import actual, fit, outputs
from pipeline.terminal import progress


@dataclass(frozen=True)
class CrossValidated:
    """Predictions of the rows of train and of validation, the metrics of each fold, and those of all rows together."""

    train: np.ndarray
    validation: np.ndarray
    folds: list[dict[str, float]]
    together: dict[str, float]

    def table(self) -> dict[str, dict[str, float]]:
        """By metric: of all rows together, and mean and standard deviation (n - 1) over the folds."""
        columns = {name: np.array([fold[name] for fold in self.folds]) for name in self.together}
        return {
            name: {"out_of_fold": value, "mean": float(columns[name].mean()), "deviation": float(columns[name].std(ddof=1))}
            for name, value in self.together.items()
        }


def cross_validate(
    fitted: Preprocessor,
    train: Side,
    validation: Side,
    *,
    model: ModelParams,
    params: TrainParams,
    seed: int,
    checkpoint: Callable[[int], Path | None] = lambda fold: None,
    on_fold: Callable[[int, dict[str, float]], None] = lambda fold, row: None,
) -> CrossValidated:
    """Train and predict every fold of train and validation together.

    Args:
        checkpoint: the file of each fold's training, see `fit`.
        on_fold: called with each finished fold and its metrics.

    Raises:
        UserError: the sides have no folds, or fewer than three.
    """
    parts, rows = folds(train, validation, fitted), _joined(train, validation)
    shelf = Shelf()
    truth, found, found_by_fold = actual(rows, fitted), None, []
    for at, (rest, stopping, held) in enumerate(progress.over(parts, "folds of cross-validation", len(np.unique(rows.more["fold"])))):
        result = fit(fitted, rest, stopping, model=model, params=params, seed=seed, checkpoint=checkpoint(at), shelf=shelf)
        predicted = outputs(result.model, fitted, held)
        found = np.empty((len(rows), *predicted.shape[1:])) if found is None else found
        found[rows.more["fold"] == held.more["fold"][0]] = predicted
        found_by_fold.append(metrics.compute(fitted.task, actual(held, fitted), predicted))
        on_fold(at, found_by_fold[-1])
    assert found is not None
    return CrossValidated(found[: len(train)], found[len(train) :], found_by_fold, metrics.compute(fitted.task, truth, found))


def folds(train: Side, validation: Side, fitted: Preprocessor) -> Iterator[tuple[Side, Side, Side]]:
    """For each fold of train and validation together: the rows to learn from, those that tell when to stop, and its own.

    Raises:
        UserError: the sides have no folds, or fewer than three.
    """
    if "fold" not in train.more or "fold" not in validation.more:
        reason = "a forecast has none" if fitted.forecast else "set split.folds to 3 or more"
        raise UserError(f"cross-validation: the rows have no folds; {reason}")
    rows = _joined(train, validation)
    fold, known = rows.more["fold"], np.unique(rows.more["fold"])
    if len(known) < 3:
        raise UserError(f"cross-validation: expected at least 3 folds (to train, to stop, to test), got split.folds: {len(known)}")

    def parts() -> Iterator[tuple[Side, Side, Side]]:
        for at, test in enumerate(known):
            stop = known[(at + 1) % len(known)]
            wheres = (fold != test) & (fold != stop), fold == stop, fold == test
            rest, stopping, held = (_taken(rows, np.flatnonzero(where)) for where in wheres)
            yield rest, stopping, held

    return parts()


def _joined(a: Side, b: Side) -> Side:
    more = {name: np.concatenate([block, b.more[name]]) for name, block in a.more.items()}
    first, second = ((side.number, side.category, side.target, side.group) for side in (a, b))
    number, category, target, group = (np.concatenate(pair) for pair in zip(first, second, strict=True))
    return Side(number, category, target, group, more)


def _taken(side: Side, rows: np.ndarray) -> Side:
    number, category, target, group = (block[rows] for block in (side.number, side.category, side.target, side.group))
    return Side(number, category, target, group, {name: block[rows] for name, block in side.more.items()})
