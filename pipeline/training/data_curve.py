"""A curve of a test metric over the share of train that a network learnt from: whether more rows would help.

The same configuration is trained again on parts of train, each part inside every larger one.  Whole groups are drawn, by a
hash of group and seed (SplitMix64 of Steele et al. 2014).  Of a forecast the latest windows of each series are taken, not
random ones: they are what a user with less history would have.

What the curve does not show: preprocessing, tuned values and validation rows are those of all of train, which flatters small
parts a little; fewer rows are fewer steps too, which costs them where train.epochs is too few to finish; and each part is trained
once, from the network's own seed, while intervals are those of the test rows and know nothing of the chance of training.  A part
is held in memory.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from pipeline.config import ModelParams, TrainParams
from pipeline.data.arrays import Side
from pipeline.data.fitted import Preprocessor, Task
from pipeline.errors import UserError
from pipeline.evaluation.intervals import FEWEST, bootstrap
from pipeline.evaluation.metrics import Array, Ints, Metric, main_metric
from pipeline.evaluation.wording import capital, shown, word
from pipeline.models.answers import Answers
from pipeline.models.build import serving
from pipeline.models.fit import Fitted, fit, outputs
from pipeline.training import ensembling

log = logging.getLogger(__name__)
STEPS = ("series", "target")  # of a forecast: blocks of steps, which windows only point into
ALL = "all rows"


@dataclass(frozen=True)
class Part:
    """What a network learnt from a part of train answers: `validation` and `test` as `fit.outputs` gives them.

    share: of train's rows as asked for; rows (a forecast's windows) and groups (its series): what the part holds.
    """

    share: float
    rows: int
    groups: int
    validation: Array
    test: Array


@dataclass(frozen=True)
class Point:
    """The metric on test of a network that learnt from a part, and how much it lies above that of the network of all rows.

    `low`, `high`, `difference_low` and `difference_high` are percentile intervals, nan with fewer than two groups of test rows.
    """

    share: float
    rows: int
    groups: int
    metric: str
    value: float
    low: float
    high: float
    difference: float
    difference_low: float
    difference_high: float


@dataclass(frozen=True)
class Curve:
    """What `curve` found: the smallest part first, the network of all rows last, its share 1 and its differences 0.

    `rows` and `groups` are those of test.
    """

    points: tuple[Point, ...]
    task: Task
    metric: str
    higher_is_better: bool
    rows: int
    groups: int
    replicates: int
    confidence: float

    def lost(self, one: Point) -> tuple[float, float, float]:
        """What is lost against all rows, and its interval: above 0 where the part is worse, in the metric's unit."""
        ends = one.difference, one.difference_low, one.difference_high
        return (-ends[0] + 0.0, -ends[2] + 0.0, -ends[1] + 0.0) if self.higher_is_better else ends

    def worse(self, one: Point) -> bool:
        """Whether the part is worse than all rows, with an interval that leaves out 0."""
        return self.lost(one)[1] > 0

    def better(self, one: Point) -> bool:
        return self.lost(one)[2] < 0

    @property
    def judged(self) -> Point:
        """The part nearest to half of the rows: what the last doubling of the rows gained tells most of the next."""
        return min(self.points[:-1], key=lambda one: abs(np.log(2 * one.rows / self.points[-1].rows)))


def networks(
    fitted: Preprocessor,
    train: Side,
    validation: Side,
    test: Side,
    shares: Iterable[float],
    *,
    model: ModelParams,
    params: TrainParams,
    seed: int,
    on_part: Callable[[float, int, Fitted], None] = lambda share, rows, result: None,
) -> tuple[Part, ...]:
    """Returns what networks of parts of train answer, the smallest part first; see `parts` for what a part holds.

    Each has the configuration and the seed of the network of all rows, as many epochs, and stops by the same validation rows.
    An epoch of fewer rows has fewer steps; where train.batch_size is null, batches go by the part's rows, as for anyone who
    has no more.  Of an ensemble each part trains as many networks as the whole: one alone would lose to their mean by
    being one.  So all parts together take about sum(shares) of the time that training took.  Of test the inputs alone are read.

    Args:
        params: as trained with all rows, after tuning.
        on_part: called with each finished training: the share, the part's rows and the result.

    Raises:
        ValueError, UserError: as `parts` and `fit`.
    """
    found = []
    for share, rows in parts(train, fitted, shares, seed=seed).items():
        part, results = _taken(train, rows), []
        for one in ensembling.seeds(seed, params.ensemble):
            results.append(fit(fitted, part, validation, model=model, params=params, seed=one))
            on_part(share, len(part), results[-1])
        network = ensembling.mean([serving(result.model) for result in results])
        told = (outputs(network, fitted, side) for side in (validation, test))
        found.append(Part(share, len(part), len(np.unique(part.group)), *told))
    return tuple(found)


def parts(train: Side, fitted: Preprocessor, shares: Iterable[float], *, seed: int) -> dict[float, Ints]:
    """Returns the row numbers of each share, rising, the smallest share first; a smaller share's rows are among a larger one's.

    Groups are put in an order by hash, and as many of the first are taken as come nearest to the share of the rows; at least one.
    Of a forecast each series gives its last windows, the share of them rounded up, whatever the seed.  What holds no more rows
    than a smaller share, or all of train, is left out with a warning.

    Raises:
        ValueError: a share is not between 0 and 1.
        UserError: no share gives a part, since train has too few groups.
    """
    wanted, found = sorted(set(shares)), dict[float, Ints]()
    if wrong := [share for share in wanted if not 0 < share < 1]:
        raise ValueError(f"shares of train: expected numbers between 0 and 1, got {', '.join(map(str, wrong))}")
    most = 0
    for share in wanted:
        rows = _latest(train, share) if fitted.forecast else _drawn(np.asarray(train.group), share, seed)
        if most < len(rows) < len(train):
            most, found[share] = len(rows), rows
        else:
            why = "all rows" if len(rows) == len(train) else "no more rows than a smaller share"
            log.warning("a share of %g of train is left out: by whole groups it is %s (%d)", share, why, len(rows))
    if wanted and not found:
        raise UserError(f"evaluate.shares: train has {len(np.unique(train.group))} groups, too few for a part of them")
    return found


def calibrated(found: Sequence[Part], learn: Callable[[Array], Answers]) -> tuple[Part, ...]:
    """Returns the parts with calibrated outputs; `learn` gives what validation's outputs teach, by the rules of the whole network."""
    made = []
    for part in found:
        answers = learn(part.validation)
        made.append(replace(part, validation=answers.calibrated(part.validation), test=answers.calibrated(part.test)))
    return tuple(made)


def curve(
    task: Task,
    y: Array,
    found: Sequence[Part],
    full: Array,
    groups: Array,
    *,
    train: Side,
    replicates: int,
    confidence: float,
    seed: int,
    metric: Metric | None = None,
) -> Curve:
    """Returns the metric over the rows of train, with intervals by group and paired differences to the network of all rows.

    Args:
        y, groups: (rows,) of test, and of a forecast windows, as `intervals.bootstrap` takes them; full: outputs of the network
            of all rows, calibrated where those of the parts are.
        train: counts the rows and groups of the last point.
        metric: by default the task's main one.

    Raises:
        ValueError: there is no part, or arguments do not fit each other (see `intervals.bootstrap`).
    """
    if not found:
        raise ValueError("no part of train to compare")
    lead = metric or main_metric(task)
    models = {ALL: full} | {str(part.share): part.test for part in found}
    told = bootstrap(task, y, models, groups, replicates=replicates, confidence=confidence, seed=seed, metrics=[lead])
    points = []
    for part in sorted(found, key=lambda one: one.share):
        own, gap = (of[str(part.share)][lead.name] for of in (told.models, told.differences))
        less = -gap.value + 0.0, -gap.high + 0.0, -gap.low + 0.0  # the gap is all rows less the part
        points.append(Point(part.share, part.rows, part.groups, lead.name, own.value, own.low, own.high, *less))
    own = told.models[ALL][lead.name]
    points.append(Point(1.0, len(train), len(np.unique(train.group)), lead.name, own.value, own.low, own.high, 0.0, 0.0, 0.0))
    return Curve(tuple(points), task, lead.name, lead.higher_is_better, told.rows, told.groups, replicates, confidence)


def rows_of(found: Curve) -> list[dict[str, Any]]:
    """Returns one plain row a point, for CSV or JSON: share, rows, groups, metric, value, low, high, difference and its two ends."""
    return [asdict(one) for one in found.points]


def sentence(found: Curve) -> str:
    """Returns in words what the part nearest to half of the rows says of more rows.

    "With half of the rows AUC is 0.012 lower [0.004, 0.020]: more rows would likely still help."  Where it is not told apart from
    all rows: twice as many gain what the last doubling gained at most, if the curve goes on as most do (Hestness et al. 2017).
    It stays open where a smaller part loses less, where test has fewer than 30 groups to tell, or where the last doubling may have
    gained as much as those before.
    """
    last = found.judged
    smaller = [one for one in found.points if one.rows < last.rows]
    value, _, high = found.lost(last)
    name, part, more = word(found.metric), phrase(found, last), "a longer history" if found.task == "forecast" else "more rows"
    if np.isnan(value):
        return f"{capital(name)} is not defined on the test rows: nothing is told of {more}."
    start, open_end = f"With {part} {name}", f"whether {more} would help stays open"
    if found.worse(last):
        steadier = [one for one in smaller if found.lost(one)[0] < value]
        if steadier:
            return f"{start} is {amount(found, last)}, with {phrase(found, steadier[0])} {amount(found, steadier[0])}: {open_end}."
        return f"{start} is {amount(found, last)}: {more} would likely still help."
    if found.better(last):
        return f"{start} is {amount(found, last)}: by chance of training, or the others are unlike test; {open_end}."
    start += f" is not told apart from that with all ({amount(found, last)})"
    if found.groups < FEWEST or np.isnan(high):
        return f"{start}, but test has too few groups ({found.groups}) to tell: {open_end}."
    worse = [one for one in smaller if found.worse(one)]
    steepest = max(worse, key=lambda one: _pace(found, one), default=None)
    if steepest is not None and high >= _pace(found, steepest) * np.log(found.points[-1].rows / last.rows):
        return f"{start}, but with {phrase(found, steepest)} it is {amount(found, steepest)}: {open_end}."
    kind = more if found.task == "forecast" else f"{more} of this kind"
    verb = "is" if found.task == "forecast" else "are"
    return f"{start}: {kind} {verb} unlikely to help much, {_times(found, last)} hardly by more than {shown(found.metric, high)}."


def phrase(found: Curve, one: Point) -> str:
    """Returns a part in words: "half of the rows", "12% of the rows", "the latest half of the windows"."""
    share = one.rows / found.points[-1].rows
    told = "half" if abs(share - 0.5) < 0.005 else f"{100 * share:.2g}%"
    return f"the latest {told} of the windows" if found.task == "forecast" else f"{told} of the rows"


def amount(found: Curve, one: Point) -> str:
    """Returns the difference to all rows in words: "0.012 lower [0.004, 0.020]"; the interval counts in the same direction."""
    sign = 1 if one.difference > 0 else -1
    low, high = sorted((sign * one.difference_low, sign * one.difference_high))
    between = "" if np.isnan(low) else f" [{shown(found.metric, low)}, {shown(found.metric, high)}]"
    return f"{shown(found.metric, abs(one.difference))} {'higher' if sign > 0 else 'lower'}{between}"


def _drawn(group: Array, share: float, seed: int) -> Ints:
    codes, of_row, counts = np.unique(group, return_inverse=True, return_counts=True)
    order = np.argsort(_hashed(codes, seed), kind="stable")
    total = np.cumsum(counts[order])
    chosen = np.zeros(len(codes), bool)
    chosen[order[: 1 + int(np.argmin(np.abs(total - share * len(group))))]] = True
    return np.flatnonzero(chosen[of_row])


def _hashed(codes: Array, seed: int) -> Array:
    """Returns (codes,) uint64, all unlike where the codes are."""

    def mixed(x: Array) -> Array:
        x = x + np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))

    return mixed(codes.astype(np.uint64) ^ mixed(np.array([seed % 2**64], np.uint64)))


def _latest(train: Side, share: float) -> Ints:
    start, series = np.asarray(train.more["start"]), np.asarray(train.group)
    order = np.lexsort((start, series))  # by series, each in order of time
    _, first, counts = np.unique(series[order], return_index=True, return_counts=True)
    left = np.repeat(first + counts, counts) - np.arange(len(order))  # windows from this one to the series' end
    return np.sort(order[left <= np.repeat(np.ceil(share * counts - 1e-9), counts)])


def _taken(side: Side, rows: Ints) -> Side:
    """These rows; of a forecast these windows, which point into the same steps."""
    keep = STEPS if "start" in side.more else ()
    target = side.target if "target" in keep else side.target[rows]
    more = {name: block if name in keep else block[rows] for name, block in side.more.items()}
    return Side(side.number[rows], side.category[rows], target, side.group[rows], more)


def _pace(found: Curve, one: Point) -> float:
    """What all rows gained over a part, for each e-fold of the rows."""
    return found.lost(one)[0] / float(np.log(found.points[-1].rows / one.rows))


def _times(found: Curve, last: Point) -> str:
    times = found.points[-1].rows / last.rows
    return "twice as many" if abs(times - 2) < 0.02 else f"{times:.2g} times as many"
