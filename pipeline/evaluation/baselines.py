"""Plain models that a network has to beat: the prior, a linear model, gradient boosting.

They see the rows that the network sees, after the same preprocessing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.fitted import Task
from pipeline.errors import UserError
from pipeline.evaluation.metrics import Array, Floats

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

LINEAR_ROWS = 200_000  # a linear model gains nothing from more
PREDICT_ROWS = 2**17  # rows expanded at once when predicting
ONE_THREAD_ROWS = 100_000  # threads that wait for one another on a busy machine made a fit of 0.3 s take a minute
BOOSTING_CATEGORIES = 255  # the most that scikit-learn's histograms can tell apart

DEFINITIONS: Mapping[str, str] = {
    "prior": "The same for every row: the shares of the classes in train, or the mean of the target.",
    "linear": f"Logistic or ridge regression on numbers and one-hot categories, fitted to at most {LINEAR_ROWS:,} random rows of train.",
    "boosting": "Histogram gradient boosting with scikit-learn's defaults; "
    f"in a column of more than {BOOSTING_CATEGORIES} categories the rarest count as one.",
}


@dataclass(frozen=True)
class Arrays:
    """Rows ready for a model.

    `number` is (rows, N) float32, scaled, without NaN; `category` is (rows, C) int32 with column c in [0, sizes[c]);
    `target` is (rows,), class indices or values.  N or C may be 0.
    """

    number: NDArray[np.float32]
    category: NDArray[np.int32]
    sizes: tuple[int, ...]
    target: Array

    def take(self, rows: Any) -> Arrays:
        """Returns the rows of an index or a slice."""
        return Arrays(self.number[rows], self.category[rows], self.sizes, self.target[rows])


Predict = Callable[[Arrays], Floats]


def fit_baselines(task: Task, train: Arrays, *, n_classes: int = 2, seed: int) -> dict[str, Predict]:
    """Returns "prior", "linear" and "boosting", each a function from rows to outputs as the metrics take them.

    Multiclass outputs have `n_classes` columns; a class that train does not hold has probability 0.  If train holds a
    single class, all three are the prior.  The targets of the rows predicted are not read.

    Raises UserError without columns or rows, ValueError for a class out of range.
    """
    if not len(train.target):
        raise UserError("baselines: expected training rows, found none")
    if not train.number.shape[1] + train.category.shape[1]:
        raise UserError("baselines: expected number or category columns, found none")
    if task != "regression" and not 0 <= train.target.min() <= train.target.max() < n_classes:
        raise ValueError(f"classes {train.target.min()} to {train.target.max()}, expected 0 to {n_classes - 1}")
    prior = _fit_prior(task, train.target, n_classes)
    if task != "regression" and len(np.unique(train.target)) == 1:
        return dict.fromkeys(DEFINITIONS, prior)
    return {
        "prior": prior,
        "linear": _fit_linear(task, train, n_classes, seed),
        "boosting": _fit_boosting(task, train, n_classes, seed),
    }


def _fit_prior(task: Task, target: Array, n_classes: int) -> Predict:
    if task == "regression":
        share: Any = target.mean(dtype=np.float64)
    else:
        shares = np.bincount(target, minlength=n_classes) / len(target)
        share = shares[1] if task == "binary" else shares
    return lambda rows: np.full((len(rows.number), *np.shape(share)), share)


def _fit_linear(task: Task, train: Arrays, n_classes: int, seed: int) -> Predict:
    """Fits with scikit-learn's default L2 penalty (1 on the sum over rows): slight, but rare categories stay finite.

    Numbers are cut at train's 0.1% and 99.9% quantiles and divided by their standard deviation: scaling alone leaves
    long tails, on which a linear model extrapolates to absurd values and its solver crawls.
    """
    from sklearn.linear_model import LogisticRegression, Ridge

    if len(train.target) > LINEAR_ROWS:
        train = train.take(np.random.default_rng(seed).choice(len(train.target), LINEAR_ROWS, replace=False))
    low, high = np.quantile(train.number, [0.001, 0.999], axis=0)
    spread = np.clip(train.number, low, high).std(axis=0, dtype=np.float64)
    scale = np.where(spread > 0, spread, 1.0)

    def features(rows: Arrays) -> csr_matrix:
        return _sparse(np.clip(rows.number, low, high) / scale, rows.category, rows.sizes)

    model = Ridge() if task == "regression" else LogisticRegression(max_iter=2000)
    model.fit(features(train), train.target)
    return _predictor(task, model, features, n_classes)


def _sparse(number: Floats, category: NDArray[np.int32], sizes: tuple[int, ...]) -> csr_matrix:
    """Returns (rows, N + sum of sizes): the numbers, then each category column one-hot."""
    from scipy.sparse import csr_matrix

    rows, n = number.shape
    width = n + category.shape[1]
    offsets = n + np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    columns = np.concatenate([np.broadcast_to(np.arange(n), (rows, n)), category + offsets[:-1]], axis=1)
    values = np.concatenate([number, np.ones(category.shape)], axis=1)
    start = np.arange(0, rows * width + 1, width)
    return csr_matrix((values.ravel(), columns.ravel(), start), shape=(rows, int(offsets[-1])))


def _fit_boosting(task: Task, train: Arrays, n_classes: int, seed: int) -> Predict:
    """Fits with defaults (Ke et al. 2017); beyond 10,000 rows these stop early on a tenth of train, drawn by row."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    tables = [_frequent_codes(train.category[:, c], size) for c, size in enumerate(train.sizes)]

    def features(rows: Arrays) -> Floats:
        codes = [table[rows.category[:, c]] for c, table in enumerate(tables)]
        return np.column_stack([rows.number, *codes])

    kind = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    is_category = [False] * train.number.shape[1] + [True] * len(tables)
    model = kind(categorical_features=is_category, random_state=seed)
    with threadpool_limits(1 if len(train.target) <= ONE_THREAD_ROWS else None, user_api="openmp"):
        model.fit(features(train), train.target)
    return _predictor(task, model, features, n_classes)


def _frequent_codes(codes: NDArray[np.int32], size: int) -> Array:
    """Returns a table (size,) to new codes: the same if few, else by falling frequency, the rarest sharing the last."""
    if size <= BOOSTING_CATEGORIES:
        return np.arange(size)
    by_frequency = np.argsort(-np.bincount(codes, minlength=size), kind="stable")
    table = np.full(size, BOOSTING_CATEGORIES - 1)
    table[by_frequency[: BOOSTING_CATEGORIES - 1]] = np.arange(BOOSTING_CATEGORIES - 1)
    return table


def _predictor(task: Task, model: Any, features: Callable[[Arrays], Any], n_classes: int) -> Predict:
    """Returns the fitted model as a function of rows that expands a block of them at a time."""

    def predict(rows: Arrays) -> Floats:
        outputs = np.zeros((len(rows.number), n_classes) if task != "regression" else len(rows.number))
        for start in range(0, len(outputs), PREDICT_ROWS):
            block = slice(start, start + PREDICT_ROWS)
            if task == "regression":
                outputs[block] = model.predict(features(rows.take(block)))
            else:
                outputs[block, model.classes_] = model.predict_proba(features(rows.take(block)))
        return outputs[:, 1] if task == "binary" else outputs

    return predict
