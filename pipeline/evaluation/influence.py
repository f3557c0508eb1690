"""Why a model predicts what it does, on held-out rows: permutation importance, partial dependence, confident errors, label errors.

`task`, `y`, `outputs` are as in `metrics`; `groups` is (rows,) of codes, and rows with an equal code belong together.
`inputs` are the arrays that the network reads, by name, as `feeding.inputs` gives them for some rows; `predict` maps such
arrays to outputs and must not keep or change them.  Columns are those of the user's file: one may feed several inputs (a
number's value and its missing flag, the parts of a date), which are always changed together.

What a model makes of a column is no causal effect of it.  Both permutation and partial dependence ask the model about
combinations of values that may never occur where columns depend on each other (Hooker, Mentch & Zhou 2021).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pipeline.data.fitted import Preprocessor, Task
from pipeline.evaluation.metrics import Additive, Array, Floats, Ints, Metric, checked, loss_metric, losses, main_metric, predicted_class
from pipeline.terminal import progress

if TYPE_CHECKING:
    import pandas as pd

Inputs = Mapping[str, Array]
Predict = Callable[[Inputs], Array]
Places = Mapping[str, tuple[int, ...] | None]  # of each array the positions on its last axis, None where the column is all of it

TABLE_ROWS, MEDIA_ROWS, CURVES = 5000, 500, 300
LINKED = 0.8  # association above which columns are permuted together too
CHUNK = 2**22  # weights drawn at once, 32 MiB
ENDS = (0.01, 0.99)  # quantiles between which partial dependence is looked at
BAND = (0.1, 0.9)
RUG = np.arange(1, 20) / 20
OTHER, MISSING = "(all others)", "(missing)"


# -- permutation importance


@dataclass(frozen=True)
class Importance:
    """What permuting these columns together does: `loss` is the increase of the mean loss of a row (log loss in nats, squared
    error in squared units), `low` and `high` its interval, `metric` how much worse the metric becomes (above 0 is worse)."""

    columns: tuple[str, ...]
    loss: float
    low: float
    high: float
    metric: float

    @property
    def name(self) -> str:
        return " + ".join(self.columns)


@dataclass(frozen=True)
class Importances:
    """What `permutation_importance` found, the largest increase first; `loss` and `metric` are those of the rows as they are.

    `columns` has every column alone, `clusters` those of columns that stand for each other.  `loss_name` is "log loss",
    "squared error" or that of the loss given.
    """

    columns: tuple[Importance, ...]
    clusters: tuple[Importance, ...]
    loss: float
    loss_name: str
    metric: float
    metric_name: str
    rows: int
    groups: int
    repeats: int
    replicates: int
    confidence: float


def sampled(fitted: Preprocessor, rows: int, *, most: int | None = None, seed: int) -> Ints:
    """Returns at most `most` of `rows` row numbers, rising, drawn without replacement.

    By default 5,000, or 500 where a row holds a text, picture, sound, sequence or window.
    """
    heavy = fitted.texts or fitted.images or fitted.audios or fitted.sequence or fitted.forecast
    most = most if most is not None else MEDIA_ROWS if heavy else TABLE_ROWS
    return np.arange(rows) if rows <= most else np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def places(fitted: Preprocessor) -> dict[str, Places]:
    """Returns where each source column stands in the network's inputs, in the order of `fitted.all_columns`.

    A forecast's columns are channels of its windows.  The lengths of sequences belong to no single channel.
    """
    found: dict[str, dict[str, tuple[int, ...] | None]] = {column: {} for column in fitted.all_columns}

    def add(column: str, block: str, at: int) -> None:
        found[column][block] = (*(found[column].get(block) or ()), at)

    for at, number in enumerate(fitted.numbers):
        add(number.column, "series" if fitted.forecast else "number", at)
    for at, category in enumerate(fitted.categories):
        add(category.column, "category", at)
    for at, channel in enumerate(fitted.sequence.columns if fitted.sequence else ()):
        add(channel, "sequence", at)
    for kind, columns in fitted.media.items():
        for at, column in enumerate(columns):
            found[column][f"{kind}_{at}"] = None
    return dict(found)


def permutation_importance(
    predict: Predict,
    fitted: Preprocessor,
    inputs: Inputs,
    y: Array,
    groups: Array,
    *,
    repeats: int = 5,
    replicates: int = 1000,
    confidence: float = 0.95,
    seed: int,
    loss: Additive | None = None,
    metric: Metric | None = None,
) -> Importances:
    """Returns how much worse the model is where a column's values come from another row (Breiman 2001; Fisher et al. 2019).

    All inputs of a column are taken from the same other row.  Each repeat draws one cycle through all rows, across groups,
    so that every row gives once and receives once, never from itself; all columns see the same cycles.  Columns whose
    mean association is at least 0.8 (`clusters`) are also permuted together, since of two twins either alone shows
    little.  Of several channels of a sequence each is permuted under the row's own length, and all together with their lengths.
    For a forecast whole windows of a channel change places, so that a series with a trend gets levels of other times.

    The increase of the loss is a mean over pairs of a receiving and a giving row.  Its percentile interval resamples groups
    and credits each row in both roles (the first-order projection of a U-statistic, Hoeffding 1948): rows that are only
    resampled as receivers would leave out the spread of the values given, and cover 80% instead of 95% where y = x + noise.
    The noise of finitely many permutations is in it, up to twice in variance, so that with few repeats it is somewhat wide.
    `low` and `high` are nan with fewer than two groups, and all values are nan without a row.

    Args:
        loss: of a row, its first part; by default log loss or squared error.
        metric: by default the task's first.

    Raises ValueError for arguments that do not fit each other (see `metrics.checked`), and for fewer than one repeat.
    """
    if repeats < 1:
        raise ValueError(f"expected at least 1 repeat, got {repeats}")
    groups = np.asarray(groups)
    if groups.shape != np.shape(y)[:1]:
        raise ValueError(f"groups of shape {groups.shape} do not fit targets of shape {np.shape(y)}")
    task, rows = fitted.task, len(groups)
    measured = main_metric(task) if metric is None else metric
    name = loss.name if loss is not None else "log loss" if loss_metric(task).name == "log_loss" else "squared error"
    if not rows:
        return Importances((), (), np.nan, name, np.nan, measured.name, 0, 0, repeats, replicates, confidence)
    rng = np.random.default_rng(seed)
    donors = _cycles(rng, rows, repeats)
    y, outputs = checked(task, y, predict(inputs))
    before, value = losses(task, y, outputs, metric=loss), measured(y, outputs)
    stand, joint = places(fitted), clusters(fitted, inputs)
    subjects = [*((column,) for column in stand), *joint]
    influence, worse = np.empty((rows, len(subjects))), np.empty(len(subjects))
    for at, columns in enumerate(progress.over(subjects, "importance of columns", len(subjects))):
        where, values = _merged(fitted, stand, columns), np.empty(repeats)
        received, given = np.zeros((2, rows))
        for repeat, donor in enumerate(donors):
            _, other = checked(task, y, predict(_permuted(inputs, where, donor)))
            increase = (losses(task, y, other, metric=loss) - before) / repeats
            received += increase
            given[donor] += increase
            values[repeat] = measured(y, other)
        influence[:, at] = received + given - received.mean()
        worse[at] = (value - values.mean()) * (1 if measured.higher_is_better else -1)
    low, high, n_groups = _interval(influence, groups, rng, replicates, confidence)
    columns_of = zip(subjects, influence.mean(axis=0).tolist(), low.tolist(), high.tolist(), worse.tolist(), strict=True)
    found = [Importance(*one) for one in columns_of]
    singles, together = (
        tuple(sorted(some, key=lambda one: -one.loss)) for some in (found[: len(stand)], found[len(stand) :])
    )  # a stable order: ties stay in that of the inputs
    told = float(before.mean()), name, value, measured.name, rows, n_groups, repeats, replicates, confidence
    return Importances(singles, together, *told)


def clusters(fitted: Preprocessor, inputs: Inputs, *, least: float = LINKED) -> tuple[tuple[str, ...], ...]:
    """Returns the sets of two or more columns that stand for each other, by average linkage on their association.

    Association is the absolute rank correlation of two numbers (Spearman), the bias-corrected V of two categories (Cramér;
    Bergsma 2013), and the adjusted correlation ratio of a number's ranks given a category.  Of a number or date its first
    input counts (value, days); missing flags do not.  Constant columns are linked to none.  The channels of a sequence, where
    there are several, are one more set.  A forecast's channels are compared over all steps of the windows.
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    stand = {column: where for column, where in places(fitted).items() if set(where) & {"number", "category", "series"}}
    found: list[tuple[str, ...]] = []
    if len(stand) > 1 and len(next(iter(inputs.values()))) > 2:
        distance = np.clip(1 - _association(stand, inputs), 0, 1)
        np.fill_diagonal(distance, 0)
        labels = fcluster(linkage(squareform(distance, checks=False), "average"), 1 - least, "distance")
        names = np.array(list(stand), dtype=object)
        sets = [tuple(names[labels == label]) for label in dict.fromkeys(labels.tolist())]
        found += [columns for columns in sets if len(columns) > 1]
    if fitted.sequence and len(fitted.sequence.columns) > 1:
        found.append(fitted.sequence.columns)
    return tuple(found)


def importance_rows(found: Importances) -> list[dict[str, Any]]:
    """Returns one plain row a column and then one a cluster, for CSV or JSON."""
    return [
        {"name": one.name, "columns": len(one.columns), "loss_increase": one.loss, "low": one.low, "high": one.high}
        | {f"{found.metric_name}_worse_by": one.metric}
        for one in (*found.columns, *found.clusters)
    ]


def _cycles(rng: np.random.Generator, rows: int, repeats: int) -> Ints:
    """Returns (repeats, rows): whose values each row gets; each repeat is a single cycle, hence without fixed points."""
    donors = np.empty((repeats, rows), np.intp)
    for donor in donors:
        order = rng.permutation(rows)
        donor[order] = np.roll(order, 1)
    return donors


def _merged(fitted: Preprocessor, stand: Mapping[str, Places], columns: tuple[str, ...]) -> Places:
    """Returns where all these columns stand; the lengths too, where they are all channels of the sequence."""
    found: dict[str, tuple[int, ...] | None] = {}
    for column in columns:
        for block, positions in stand[column].items():
            found[block] = None if positions is None else (*(found.get(block) or ()), *positions)
    if fitted.sequence and set(fitted.sequence.columns) <= set(columns):
        found["sequence_length"] = None
    return found


def _permuted(inputs: Inputs, where: Places, donor: Ints) -> dict[str, Array]:
    """Returns the inputs with these positions taken from the rows `donor`; arrays that do not change are not copied."""
    changed = dict(inputs)
    for block, positions in where.items():
        if positions is None:
            changed[block] = inputs[block][donor]
        else:
            at = list(positions)
            changed[block] = np.array(inputs[block])
            changed[block][..., at] = inputs[block][..., at][donor]
    return changed


def _interval(influence: Floats, groups: Array, rng: np.random.Generator, replicates: int, confidence: float) -> tuple[Floats, Floats, int]:
    """Returns the ends (columns,) of percentile intervals of the means of (rows, columns) over groups drawn, and the number of groups."""
    codes, units = np.unique(groups, return_inverse=True)
    n_units, columns = len(codes), influence.shape[1]
    if n_units < 2 or replicates < 1 or not columns:
        return np.full(columns, np.nan), np.full(columns, np.nan), n_units
    sizes = np.bincount(units).astype(np.float64)
    sums = np.stack([np.bincount(units, weights=column) for column in influence.T], axis=1)
    drawn = np.empty((replicates, columns))
    step = max(1, CHUNK // n_units)
    for start in range(0, replicates, step):
        weights = rng.multinomial(n_units, np.full(n_units, 1 / n_units), size=min(step, replicates - start)).astype(np.float64)
        drawn[start : start + step] = (weights @ sums) / (weights @ sizes)[:, None]
    low, high = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return low, high, n_units


def _association(stand: Mapping[str, Places], inputs: Inputs) -> Floats:
    """Returns (columns, columns) from 0 to 1; see `clusters`."""
    from scipy.stats import rankdata

    ranks, codes = dict[int, Floats](), dict[int, Ints]()
    for at, where in enumerate(stand.values()):
        block = next(name for name in ("series", "number", "category") if name in where)
        values = np.asarray(inputs[block][..., (where[block] or (0,))[0]]).ravel()
        if block == "category":
            codes[at] = np.unique(values, return_inverse=True)[1]
        else:
            ranked = rankdata(values)
            ranks[at] = (ranked - ranked.mean()) / (ranked.std() or 1.0)
    found = np.zeros((len(stand), len(stand)))
    if ranks:
        standard = np.stack(list(ranks.values()))
        found[np.ix_(list(ranks), list(ranks))] = np.abs(standard @ standard.T) / standard.shape[1]
    for a, code in codes.items():
        for b, other in codes.items():
            if b > a:
                found[a, b] = found[b, a] = _cramer(code, other)
        for b, rank in ranks.items():
            found[a, b] = found[b, a] = _correlation_ratio(code, rank)
    return found


def _cramer(a: Ints, b: Ints) -> float:
    """Returns Cramér's V of two codings, less what independent ones have on average (Bergsma 2013)."""
    rows, wide, high = len(a), int(a.max()) + 1, int(b.max()) + 1
    cells = np.bincount(a * high + b, minlength=wide * high).reshape(wide, high).astype(np.float64)
    expected = np.outer(cells.sum(axis=1), cells.sum(axis=0)) / rows
    phi = np.sum((cells - expected) ** 2 / expected) / rows - (wide - 1) * (high - 1) / (rows - 1)
    least = min(size - (size - 1) ** 2 / (rows - 1) for size in (wide, high)) - 1
    return float(np.sqrt(min(max(phi, 0.0) / least, 1.0))) if least > 0 else 0.0


def _correlation_ratio(code: Ints, rank: Floats) -> float:
    """Returns the square root of the share of variance of `rank` (mean 0, variance 1) between codes, adjusted (Kelley 1935)."""
    rows, counts = len(code), np.bincount(code)
    if rows <= len(counts):
        return 0.0
    between = float(np.sum(np.bincount(code, weights=rank) ** 2 / counts)) / rows
    spread = float(np.mean(rank**2))
    return float(np.sqrt(max(0.0, 1 - (1 - between) * (rows - 1) / (rows - len(counts))))) if spread > 0 else 0.0


# -- partial dependence


@dataclass(frozen=True)
class Dependence:
    """The model's outputs where a column is set to each of `points` in all rows.

    `points` are values in the column's units, or names of categories.  `mean` is the partial dependence, `low` and `high`
    the 10% and 90% quantiles of the individual curves.  `rug` tells where the data lie: a number's quantiles at 5%, 10%,
    ..., 95%; of each category the share of rows.  `response` is the class whose probability is meant, or the target.
    """

    column: str
    kind: Literal["number", "category"]
    response: str
    points: tuple[float, ...] | tuple[str, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    rug: tuple[float, ...]


def partial_dependence(
    predict: Predict,
    fitted: Preprocessor,
    inputs: Inputs,
    table: pd.DataFrame,
    columns: Sequence[str],
    *,
    most: int = 6,
    points: int = 20,
    categories: int = 12,
    rows: int = CURVES,
    seed: int,
) -> tuple[Dependence, ...]:
    """Returns the partial dependence (Friedman 2001) on the first `most` of `columns` that are numbers, booleans or categories.

    A number's points are values of `table` at equally spaced quantiles from 1% to 99%: nothing is asked beyond.  They go
    through the fitted preprocessing as a row's own value would, the missing flag with them.  A category's points are
    the most frequent codes, under the names of their values; "(all others)" are rare and unseen ones.  At most `rows` rows
    are drawn, each with a curve of its own (individual conditional expectation, Goldstein et al. 2015).  With several
    classes the one is told whose mean moves most along the column.  Dates, media and columns with a single point are passed
    over.  Nothing is returned for forecasts, nor without rows.

    Args:
        table: clean rows, the same as those of `inputs`, with the numbers and booleans among `columns`.

    Raises ValueError where table and inputs do not fit, and KeyError for a number that the table does not have.
    """
    total = len(table)
    if fitted.forecast or not total:
        return ()
    if any(len(block) != total for block in inputs.values()):
        raise ValueError(f"a table of {total} rows does not fit inputs of {len(next(iter(inputs.values())))}")
    chosen = np.arange(total) if total <= rows else np.sort(np.random.default_rng(seed).choice(total, rows, replace=False))
    some, found = {name: np.asarray(block[chosen]) for name, block in inputs.items()}, list[Dependence]()
    for column in columns:
        if len(found) == most:
            break
        grid = _grid(fitted, inputs, table, column, points, categories)
        if grid is not None and len(grid.points) > 1:
            found.append(_curve(predict, fitted, some, column, grid))
    return tuple(found)


def dependence_rows(found: Sequence[Dependence]) -> list[dict[str, Any]]:
    """Returns one plain row a point, for CSV or JSON; `share` is that of a category in the rows, None for a number."""
    return [
        {"column": one.column, "response": one.response, "point": point, "mean": mean, "low": low, "high": high, "share": share}
        for one in found
        for point, mean, low, high, share in zip(
            one.points, one.mean, one.low, one.high, one.rug if one.kind == "category" else [None] * len(one.points), strict=True
        )
    ]


@dataclass(frozen=True)
class _Grid:
    """Points of a column: `values` (points, positions) go to these positions of an array."""

    kind: Literal["number", "category"]
    points: tuple[float, ...] | tuple[str, ...]
    rug: tuple[float, ...]
    block: str
    positions: list[int]
    values: Array


def _grid(fitted: Preprocessor, inputs: Inputs, table: pd.DataFrame, column: str, points: int, categories: int) -> _Grid | None:
    """Returns the points of a number, boolean or category, None for all else."""
    for at, category in enumerate(fitted.categories):
        if category.column == column:
            counts = np.bincount(np.asarray(inputs["category"][:, at]), minlength=len(category.tokens) + 1)
            codes = [code for code in np.argsort(-counts, kind="stable").tolist() if counts[code]][:categories]
            tokens = [OTHER, *(MISSING if token is None else token for token in category.tokens)]
            shares = tuple((counts[codes] / counts.sum()).tolist())
            return _Grid("category", tuple(tokens[code] for code in codes), shares, "category", [at], np.array(codes)[:, None])
    if not any(number.column == column and number.part == "value" for number in fitted.numbers):
        return None
    there = table[column].dropna()
    if not len(there):
        return None
    values = there.to_numpy(dtype=np.float64)
    positions = [at for at, number in enumerate(fitted.numbers) if number.column == column]
    if isinstance(there.iloc[0], (bool, np.bool_)):
        asked = np.unique(values)
        names = tuple("true" if value else "false" for value in asked)
        shares = tuple(float(np.mean(values == value)) for value in asked)
        return _Grid("category", names, shares, "number", positions, _encoded(fitted, column, asked))
    asked = np.unique(np.quantile(values, np.linspace(*ENDS, points), method="inverted_cdf"))
    rug = tuple(np.quantile(values, RUG).tolist())
    return _Grid("number", tuple(asked.tolist()), rug, "number", positions, _encoded(fitted, column, asked))


def _encoded(fitted: Preprocessor, column: str, values: Floats) -> Array:
    """Returns (values, parts): what the network reads of clean values of one number."""
    import pyarrow as pa

    from pipeline.data.encoding import Encoder

    numbers = tuple(number for number in fitted.numbers if number.column == column)
    alone = replace(fitted, numbers=numbers, categories=(), texts=(), images=(), audios=(), sequence=None)
    return Encoder(alone).blocks(pa.record_batch({column: pa.array(values, pa.float64())}), ["number"])["number"]


def _curve(predict: Predict, fitted: Preprocessor, inputs: Inputs, column: str, grid: _Grid) -> Dependence:
    curves = []
    for values in grid.values:
        block = np.array(inputs[grid.block])
        block[:, grid.positions] = values
        curves.append(np.asarray(predict({**inputs, grid.block: block}), np.float64))
    outputs = np.stack(curves)  # (points, rows) or (points, rows, classes)
    response = fitted.target.classes[1] if fitted.task == "binary" else fitted.target.column
    if outputs.ndim == 3:
        moved = int(np.argmax(np.ptp(outputs.mean(axis=1), axis=0)))
        outputs, response = outputs[..., moved], fitted.target.classes[moved]
    low, high = np.quantile(outputs, BAND, axis=1)
    mean = outputs.mean(axis=1)
    return Dependence(column, grid.kind, response, grid.points, tuple(mean.tolist()), tuple(low.tolist()), tuple(high.tolist()), grid.rug)


# -- errors


@dataclass(frozen=True)
class ConfidentError:
    """A row on which the model was sure and wrong.

    Of classes, `truth` and `prediction` are codes and `probability` is that of the predicted one.  Of numbers they are in the
    target's units, `error` is prediction less truth, and `deviations` is the error in standard deviations of all rows' errors
    (nan where these have none).  What does not apply is None.
    """

    row: int
    group: int
    truth: float
    prediction: float
    probability: float | None = None
    error: float | None = None
    deviations: float | None = None


@dataclass(frozen=True)
class LabelError:
    """A row whose label is suspected: codes of the given and the suggested class, and the probabilities of both."""

    row: int
    group: int
    given: int
    suggested: int
    probability: float
    given_probability: float


def confident_errors(task: Task, y: Array, outputs: Array, groups: Array, *, most: int = 20) -> tuple[ConfidentError, ...]:
    """Returns at most `most` rows, one a group, with the greatest probability of a wrong class or the largest absolute error.

    The greatest comes first, of equals the first row.  Nothing is returned for forecasts, which have no rows of a table.
    Raises ValueError as `metrics.checked` does.
    """
    y, outputs = checked(task, y, outputs)
    if task == "forecast" or not len(y):
        return ()
    groups = np.asarray(groups)
    if task == "regression":
        error = outputs - y
        deviation = float(error.std())
        spread = deviation if deviation > 1e-12 * np.abs(error).max() else np.nan
        return tuple(
            ConfidentError(row, int(groups[row]), float(y[row]), float(outputs[row]), None, float(error[row]), float(error[row] / spread))
            for row in _first_of_groups(np.argsort(-np.abs(error), kind="stable"), groups)[:most].tolist()
            if error[row] != 0
        )
    predicted = predicted_class(task, outputs)
    sure = _by_class(outputs)[np.arange(len(y)), predicted]
    order = np.argsort(-sure, kind="stable")
    order = order[(predicted != y)[order]]
    return tuple(
        ConfidentError(row, int(groups[row]), int(y[row]), int(predicted[row]), probability=float(sure[row]))
        for row in _first_of_groups(order, groups)[:most].tolist()
    )


def label_errors(task: Task, y: Array, outputs: Array, groups: Array) -> tuple[LabelError, ...]:
    """Returns rows whose label confident learning contradicts (Northcutt, Jiang & Chuang 2021), the widest margin first.

    A class's threshold is the mean probability that rows of its label get for it.  A row is suspected if another class than
    its label is the most probable of those that reach their thresholds, and more probable than the label (as in cleanlab:
    where a class is rare its threshold is low, and most rows that reach it are no errors).  The outputs must be of rows that
    the model has not learnt from.  Where columns do not determine the class, rows that went against the odds are suspected
    too.  A class without rows is never suggested; nothing is returned for numbers.
    Raises ValueError as `metrics.checked` does.
    """
    y, outputs = checked(task, y, outputs)
    if task not in ("binary", "multiclass") or not len(y):
        return ()
    groups, probability, row = np.asarray(groups), _by_class(outputs), np.arange(len(y))
    own = probability[row, y]
    counts = np.bincount(y, minlength=probability.shape[1])
    sums = np.bincount(y, weights=own, minlength=len(counts))
    threshold = np.divide(sums, counts, out=np.full(len(counts), np.inf), where=counts > 0)
    reached = np.where(probability >= threshold, probability, -1.0)
    best = reached.argmax(axis=1)
    margin = reached[row, best] - own
    suspected = np.flatnonzero((reached[row, best] >= 0) & (best != y) & (margin > 0))
    order = suspected[np.argsort(-margin[suspected], kind="stable")]
    return tuple(
        LabelError(at, int(groups[at]), int(y[at]), int(best[at]), float(probability[at, best[at]]), float(own[at]))
        for at in order.tolist()
    )


def error_rows(found: Sequence[ConfidentError], classes: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Returns one plain row an error, for CSV or JSON, with the names of classes and without what does not apply."""
    rows = [{key: value for key, value in asdict(one).items() if value is not None} for one in found]
    return [row | {key: classes[int(row[key])] for key in ("truth", "prediction")} for row in rows] if classes else rows


def label_rows(found: Sequence[LabelError], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Returns one plain row a suspected label, for CSV or JSON, with the names of classes."""
    return [asdict(one) | {"given": classes[one.given], "suggested": classes[one.suggested]} for one in found]


def _by_class(outputs: Floats) -> Floats:
    """Returns (rows, classes) probabilities; of two classes the first is what the second leaves."""
    return np.stack([1 - outputs, outputs], axis=1) if outputs.ndim == 1 else outputs


def _first_of_groups(order: Ints, groups: Array) -> Ints:
    """Returns the rows of `order` that are the first of their group, in that order."""
    return order[np.sort(np.unique(groups[order], return_index=True)[1])]
