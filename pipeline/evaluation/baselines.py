"""Plain models that a network has to beat: the prior, a linear model, gradient boosting.

They see the rows that the network sees, after the same preprocessing; what is no table becomes plain numbers first
(`features`).  Those of a forecast are in `forecasting`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.data.fitted import Task
from pipeline.errors import UserError
from pipeline.evaluation.features import COMPONENTS, NGRAMS, SIDE, Plain, fit_features
from pipeline.evaluation.metrics import Array, Floats
from pipeline.terminal import progress

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

LINEAR_ROWS = 200_000  # a linear model gains nothing from more
MEDIA_ROWS = 12_000  # of pictures, texts, sounds and sequences, which take a thousand times as long
MEDIA_BLOCK = 2_048
TEXT_WEIGHT = 10**0.5  # on TF-IDF weights, whose rows have length 1: as a penalty of 0.1 would have it
PREDICT_ROWS = 2**17  # rows expanded at once when predicting
ONE_THREAD_ROWS = 100_000  # threads that wait for one another on a busy machine made a fit of 0.3 s take a minute
BOOSTING_CATEGORIES = 255  # the most that scikit-learn's histograms can tell apart

DEFINITIONS: Mapping[str, str] = {
    "prior": "The same for every row: the shares of the classes in train, or the mean of the target.",
    "linear": f"Logistic or ridge regression on numbers and one-hot categories, fitted to at most {LINEAR_ROWS:,} random rows of train.",
    "boosting": "Histogram gradient boosting with scikit-learn's defaults; "
    f"in a column of more than {BOOSTING_CATEGORIES} categories the rarest count as one.",
}
MEDIA = (
    f"Where rows hold more than a table, linear and boosting are fitted to at most {MEDIA_ROWS:,} random rows of train, and also see: of "
    f"pictures (averaged to at most {SIDE} pixels a side) up to {COMPONENTS} principal components; of texts the TF-IDF weights of up to "
    f"{NGRAMS:,} tokens and pairs of tokens (boosting {COMPONENTS} singular vectors of them); of sounds and sequences mean, deviation, "
    "least, greatest and last value and mean absolute step of each channel, and its course on up to 16 points."
)


@dataclass(frozen=True)
class Arrays:
    """Rows ready for a model.

    `number` is (rows, N) float32, scaled, without NaN; `category` is (rows, C) int32 with column c in [0, sizes[c]);
    `target` is (rows,), class indices or values.  N or C may be 0.  `more` holds what is no table, as `arrays.Side.more`.
    """

    number: NDArray[np.float32]
    category: NDArray[np.int32]
    sizes: tuple[int, ...]
    target: Array
    more: Mapping[str, Array] = field(default_factory=dict)

    def take(self, rows: Any) -> Arrays:
        """Returns the rows of an index or a slice."""
        more = {name: block[rows] for name, block in self.more.items()}
        return Arrays(self.number[rows], self.category[rows], self.sizes, self.target[rows], more)


Predict = Callable[[Arrays], Floats]


def fit_baselines(task: Task, train: Arrays, *, n_classes: int = 2, seed: int) -> dict[str, Predict]:
    """Returns "prior", "linear" and "boosting", each a function from rows to outputs as the metrics take them.

    Multiclass outputs have `n_classes` columns; a class that train does not hold has probability 0.  If train holds a
    single class, all three are the prior.  The targets of the rows predicted are not read.

    Raises UserError without columns or rows, ValueError for a class out of range.
    """
    if not len(train.target):
        raise UserError("baselines: expected training rows, found none")
    if not train.number.shape[1] + train.category.shape[1] + len(train.more):
        raise UserError("baselines: expected columns of inputs, found none")
    if task != "regression" and not 0 <= train.target.min() <= train.target.max() < n_classes:
        raise ValueError(f"classes {train.target.min()} to {train.target.max()}, expected 0 to {n_classes - 1}")
    prior = _fit_prior(task, train.target, n_classes)
    if task != "regression" and len(np.unique(train.target)) == 1:
        return dict.fromkeys(DEFINITIONS, prior)
    if not train.more:
        return {
            "prior": prior,
            "linear": _shown(_fit_linear, task, train, n_classes, seed),
            "boosting": _shown(_fit_boosting, task, train, n_classes, seed),
        }
    train = _drawn(train, MEDIA_ROWS, seed)
    with progress.step("features of the baselines"):
        features = fit_features(train.more, seed=seed)
        plain = features(train.more)
    linear = _shown(_fit_linear, task, train, n_classes, seed, plain)
    boosting = _shown(_fit_boosting, task, train, n_classes, seed, plain)
    return {"prior": prior} | {name: _over_media(model, features) for name, model in (("linear", linear), ("boosting", boosting))}


def _shown(fit: Callable[..., Any], *given: Any) -> Any:
    with progress.step(f"baseline: {fit.__name__.removeprefix('_fit_')}"):
        return fit(*given)


def _over_media(model: Callable[[Arrays, Plain], Floats], features: Callable[[Mapping[str, Array]], Plain]) -> Predict:
    """Returns a model of rows and their plain numbers as one of rows, a block of them at a time."""

    def predict(rows: Arrays) -> Floats:
        starts = range(0, len(rows.target), MEDIA_BLOCK)
        parts = [rows.take(slice(start, start + MEDIA_BLOCK)) for start in starts]
        return np.concatenate([model(part, features(part.more)) for part in parts])

    return predict


def _drawn(rows: Arrays, most: int, seed: int) -> Arrays:
    """Returns at most so many random rows."""
    if len(rows.target) <= most:
        return rows
    return rows.take(np.sort(np.random.default_rng(seed).choice(len(rows.target), most, replace=False)))


def _fit_prior(task: Task, target: Array, n_classes: int) -> Predict:
    if task == "regression":
        share: Any = target.mean(dtype=np.float64)
    else:
        shares = np.bincount(target, minlength=n_classes) / len(target)
        share = shares[1] if task == "binary" else shares
    return lambda rows: np.full((len(rows.number), *np.shape(share)), share)


def _fit_linear(task: Task, train: Arrays, n_classes: int, seed: int, plain: Plain | None = None) -> Any:
    """Fits with scikit-learn's default L2 penalty (1 on the sum over rows): slight, but rare categories stay finite.

    Numbers are cut at train's 0.1% and 99.9% quantiles and divided by their standard deviation: scaling alone leaves
    long tails, on which a linear model extrapolates to absurd values and its solver crawls.  The model takes rows, and
    with `plain` their plain numbers too.
    """
    from scipy.sparse import hstack
    from sklearn.linear_model import LogisticRegression, Ridge

    if plain is None and len(train.target) > LINEAR_ROWS:
        train = train.take(np.random.default_rng(seed).choice(len(train.target), LINEAR_ROWS, replace=False))

    low, high = np.quantile(train.number, [0.001, 0.999], axis=0)
    spread = np.clip(train.number, low, high).std(axis=0, dtype=np.float64)
    scale = np.where(spread > 0, spread, 1.0)

    def features(rows: Arrays, plain: Plain | None = None) -> csr_matrix:
        number = np.clip(rows.number, low, high) / scale
        if plain is None:
            return _sparse(number, rows.category, rows.sizes)
        table = _sparse(np.concatenate([number, plain.dense], axis=1), rows.category, rows.sizes)
        return table if plain.sparse is None else hstack([table, TEXT_WEIGHT * plain.sparse], format="csr")

    model = Ridge() if task == "regression" else LogisticRegression(max_iter=2000)
    model.fit(features(train, plain), train.target)
    return _predictor(task, model, features, n_classes)


def _sparse(number: Floats, category: NDArray[np.int32], sizes: tuple[int, ...]) -> csr_matrix:
    """Returns (rows, N + sum of sizes): the numbers, then each category column one-hot."""
    from scipy.sparse import csr_matrix

    rows, n = number.shape
    width = n + category.shape[1]
    offsets = n + np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    columns = np.concatenate([np.broadcast_to(np.arange(n), (rows, n)), category + offsets[:-1]], axis=1)
    values = np.concatenate([number, np.ones(category.shape)], axis=1)
    start = np.arange(rows + 1) * width
    return csr_matrix((values.ravel(), columns.ravel(), start), shape=(rows, int(offsets[-1])))


def _fit_boosting(task: Task, train: Arrays, n_classes: int, seed: int, plain: Plain | None = None) -> Any:
    """Fits with defaults (Ke et al. 2017); beyond 10,000 rows these stop early on a tenth of train, drawn by row."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    tables = [_frequent_codes(train.category[:, c], size) for c, size in enumerate(train.sizes)]

    def features(rows: Arrays, plain: Plain | None = None) -> Floats:
        codes = [table[rows.category[:, c]] for c, table in enumerate(tables)]
        return np.column_stack([rows.number, *codes, *([] if plain is None else [plain.dense, plain.reduced])])

    kind = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    shown = features(train, plain)
    is_category = [train.number.shape[1] <= at < train.number.shape[1] + len(tables) for at in range(shown.shape[1])]
    model = kind(categorical_features=is_category, random_state=seed)
    with threadpool_limits(1 if len(train.target) <= ONE_THREAD_ROWS else None, user_api="openmp"):
        model.fit(shown, train.target)
    return _predictor(task, model, features, n_classes)


def _frequent_codes(codes: NDArray[np.int32], size: int) -> Array:
    """Returns a table (size,) to new codes: the same if few, else by falling frequency, the rarest sharing the last."""
    if size <= BOOSTING_CATEGORIES:
        return np.arange(size)
    by_frequency = np.argsort(-np.bincount(codes, minlength=size), kind="stable")
    table = np.full(size, BOOSTING_CATEGORIES - 1)
    table[by_frequency[: BOOSTING_CATEGORIES - 1]] = np.arange(BOOSTING_CATEGORIES - 1)
    return table


def _predictor(task: Task, model: Any, features: Callable[..., Any], n_classes: int) -> Any:
    """Returns the fitted model as a function of rows (and their plain numbers) that expands a block of them at a time."""

    def predict(rows: Arrays, *plain: Plain) -> Floats:
        outputs = np.zeros((len(rows.number), n_classes) if task != "regression" else len(rows.number))
        step = PREDICT_ROWS if not plain else max(len(rows.number), 1)  # which come in blocks
        for start in range(0, len(outputs), step):
            block = slice(start, start + step)
            if task == "regression":
                outputs[block] = model.predict(features(rows.take(block), *plain))
            else:
                outputs[block, model.classes_] = model.predict_proba(features(rows.take(block), *plain))
        return outputs[:, 1] if task == "binary" else outputs

    return predict
