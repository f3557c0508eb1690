"""Tables without a leak, drawn by seed: any task, size, kinds of columns, missing shares, balance and strength of signal.

The honest tables of the leakage study (leak_study) and the ground into which its leaks are planted (planted_leaks).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

TASKS = ("binary", "multiclass", "regression")
START = pd.Timestamp("2021-03-01")
WORDS = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath", "inlet", "jetty", "knoll", "larch")
FARTHEST = 2.66  # standard deviations between classes where one normal column has an AUC of 0.97


@dataclass(frozen=True)
class Drawn:
    """A table, what its columns hold, its target `t`, and how it is split; `rng` goes on where the table left off."""

    frame: pd.DataFrame
    kinds: dict[str, str]
    task: str
    rng: np.random.Generator
    split: dict[str, Any] = field(default_factory=dict)
    true: frozenset[tuple[str, ...]] = frozenset()  # kinds of findings and their first columns that are no false alarm

    @property
    def features(self) -> list[str]:
        return [name for name, kind in self.kinds.items() if name != "t" and kind != "id"]

    def of(self, *kinds: str) -> list[str]:
        return [name for name in self.features if self.kinds[name] in kinds]

    def classes(self) -> list[str]:
        return sorted(self.frame["t"].unique())

    def adding(self, *, at: int | None = None, **columns: tuple[str, Any]) -> Drawn:
        """With further columns, name=(kind, values), somewhere among the others."""
        frame, kinds = self.frame.copy(), dict(self.kinds)
        for name, (kind, values) in columns.items():
            frame.insert(int(self.rng.integers(0, frame.shape[1])) if at is None else at, name, values)
            kinds[name] = kind
        return replace(self, frame=frame, kinds={name: kinds[name] for name in frame.columns})


def drawn(seed: int, task: str | None = None, *, columns: tuple[int, int] = (3, 15), few: bool = False, time: bool = False) -> Drawn:
    """A table of 600 to 4,000 rows; `few` draws coarse columns alone, `time` gives a series in time order."""
    rng = np.random.default_rng((seed, 11))
    task = task or str(rng.choice(TASKS))
    rows, width = int(rng.integers(600, 4000)), int(rng.integers(columns[0], columns[1] + 1))
    makers = COARSE if few else MAKERS
    made = [makers[int(rng.integers(0, len(makers)))](rng, rows) for _ in range(width)]
    frame, kinds = (
        pd.DataFrame({f"c{at}": values for at, (_, values) in enumerate(made)}),
        {f"c{at}": kind for at, (kind, _) in enumerate(made)},
    )
    numbers = [name for name, kind in kinds.items() if kind == "number"]
    if numbers and width < columns[1] and rng.random() < 0.6 and not few:  # a column that follows another one
        name = str(rng.choice(numbers))
        noise = rng.normal(size=rows) * frame[name].std() * rng.uniform(0.05, 1)
        frame[f"c{width}"], kinds[f"c{width}"] = (frame[name] * rng.normal() + noise).round(3), "number"
    score = sum(rng.normal() * effect(frame[name], kinds[name], rng) for name in frame.columns)
    if time:  # a season and a slow change that the columns do not know of
        frame["when"], kinds["when"] = START + pd.to_timedelta(np.arange(rows), unit="h"), "datetime"
        score = score / (score.std() or 1) + np.convolve(rng.normal(size=rows + 40), np.ones(40) / 40**0.5, "same")[:rows]
    score = score / (score.std() or 1) * rng.uniform(0.2, 3) + rng.normal(size=rows)
    for name in frame.columns:
        if name != "when" and rng.random() < 0.5:
            frame.loc[rng.random(rows) < rng.uniform(0, 0.3), name] = None
    if rng.random() < 0.5 and not few:
        frame["c_id"], kinds["c_id"] = [f"{at:06d}-{rng.integers(10)}" for at in rng.permutation(rows)], "id"
    frame["t"], kinds["t"] = target(score, task, rng), "number" if task == "regression" else "category"
    if not time:
        frame = frame.sample(frac=1, random_state=seed, ignore_index=True)
    return Drawn(frame, kinds, task, rng, {"strategy": "time", "by": "when"} if time else {})


def target(score: np.ndarray, task: str, rng: np.random.Generator) -> Any:
    """A target that follows the score: classes from even to 95 in 100, or a number of one of several shapes."""
    if task == "regression":
        shape = rng.integers(0, 4)
        if shape == 0:
            return (score * rng.lognormal(2, 2) + rng.normal(0, 100)).round(4)
        if shape == 1:
            return np.exp(score / 2).round(4)
        if shape == 2:
            return np.floor(np.exp(score / 2 + 3))
        return (score * 20).round(0)
    if task == "binary":
        words = ("no", "yes") if rng.random() < 0.5 else ("0", "1")
        return np.where(score > np.quantile(score, rng.uniform(0.5, 0.95)), words[1], words[0])
    ends = np.sort(rng.dirichlet(np.full(int(rng.integers(3, 7)), 3.0)).cumsum()[:-1])
    return np.array([f"k{at}" for at in np.searchsorted(np.quantile(score, ends), score)])


def effect(column: pd.Series, kind: str, rng: np.random.Generator) -> np.ndarray:
    """What a column adds to the score: a line, a bend or a step of its rank, or an effect of each value."""
    if kind in ("category", "boolean"):
        codes = pd.factorize(column)[0]
        return rng.normal(size=codes.max() + 1)[codes]
    ranks = column.rank(pct=True).to_numpy() - 0.5
    return [ranks * 3.5, np.cos(ranks * 6), (ranks > rng.uniform(-0.4, 0.4)) * 1.5][int(rng.integers(0, 3))]


def normal(rng, rows):
    return "number", rng.normal(rng.uniform(-50, 50), rng.lognormal(0, 2), rows).round(int(rng.integers(1, 6)))


def lognormal(rng, rows):
    return "number", rng.lognormal(rng.uniform(0, 3), rng.uniform(0.3, 2), rows).round(2)


def counts(rng, rows):
    return "number", rng.poisson(rng.uniform(0.5, 40), rows).astype(float)


def zero_inflated(rng, rows):
    return "number", np.where(rng.random(rows) < rng.uniform(0.3, 0.8), 0.0, rng.lognormal(3, 1, rows).round(2))


def codes(rng, rows):
    return "number", rng.choice(rng.integers(1, 9999, int(rng.integers(2, 40))), rows).astype(float)


def category(rng, rows):
    values = int(2 * 10 ** rng.uniform(0, 2))
    shares = rng.dirichlet(np.full(values, rng.uniform(0.3, 3)))
    return "category", rng.choice([f"{WORDS[at % 12]}{at // 12 or ''}" for at in range(values)], rows, p=shares)


def boolean(rng, rows):
    return "boolean", pd.array(rng.random(rows) < rng.uniform(0.05, 0.95), dtype="boolean")


def dates(rng, rows):
    return "datetime", START - pd.to_timedelta(rng.integers(0, int(rng.integers(30, 900)), rows), unit="D")


def coarse(rng, rows):
    return "category", rng.choice(list("abcd")[: int(rng.integers(2, 5))], rows)


def stars(rng, rows):
    return "number", rng.integers(1, 6, rows).astype(float)


def tens(rng, rows):
    return "number", (rng.normal(50, 15, rows) / 10).round() * 10


MAKERS = (normal, normal, lognormal, counts, zero_inflated, codes, category, category, boolean, dates)
COARSE = (coarse, stars, tens, boolean)


def plain(seed: int) -> Drawn:
    """Rows at random, weak to strong signal."""
    return drawn(seed)


def strong(seed: int) -> Drawn:
    """One or two honest columns that tell much: an AUC of up to 0.97, or nine tenths of a number's variance."""
    made = drawn(seed, columns=(3, 12))
    for at in range(int(made.rng.integers(1, 3))):
        made = made.adding(**{f"s{at}": ("number", honest(made))})
    return made


def honest(made: Drawn) -> np.ndarray:
    """A column that tells much of the target, as a measurement, on a log scale, rounded, or in steps."""
    rng, target = made.rng, made.frame["t"]
    if made.task == "regression":
        ranks = target.rank(pct=True).to_numpy()
        values = (ranks - 0.5) * 12**0.5 + rng.normal(size=len(target)) * rng.uniform(0.34, 1)  # R2 of 0.9 or less
    else:
        values = rng.normal(size=len(target)) + target.map({name: at for at, name in enumerate(made.classes())}) * rng.uniform(1, FARTHEST)
    return [values, np.exp(values), (values * 10).round(), (values * 2).round()][int(rng.integers(0, 4))].astype(float)


def coarse_table(seed: int) -> Drawn:
    """Few coarse columns, in which rows are equal and numbers collide by chance."""
    return drawn(seed, columns=(3, 6), few=True)


def grouped(seed: int) -> Drawn:
    """Rows of persons who are alike from row to row, and a split that keeps each on one side."""
    made = drawn(seed, columns=(3, 10))
    person, traits = persons(made)
    return replace(
        made.adding(**traits).adding(person=("category", [f"P{at:05d}" for at in person])), split={"strategy": "group", "by": "person"}
    )


def persons(made: Drawn, *, traits: int = 4) -> tuple[np.ndarray, dict[str, tuple[str, Any]]]:
    """The person of each row, 2 to 8 rows each, and what stays the same about one."""
    rng, rows = made.rng, len(made.frame)
    count = max(60, rows // int(rng.integers(2, 9)))
    person = rng.integers(0, count, rows)
    makers = [("number", rng.normal(50, 9, count).round(1)), ("number", rng.integers(1930, 2005, count).astype(float))]
    makers += [("category", rng.choice([f"v{at}" for at in range(int(rng.integers(3, 60)))], count)) for _ in range(traits - 2)]
    return person, {f"p{at}": (kind, np.asarray(values)[person]) for at, (kind, values) in enumerate(makers)}


def series(seed: int) -> Drawn:
    """Rows in time with what was known then: the target before, its mean over rows before, and a count of events so far."""
    made = drawn(seed, columns=(3, 10), time=True)
    known = numeric(made).shift(1)
    mean = known.rolling(int(made.rng.integers(3, 25)), min_periods=1).mean()
    made = made.adding(before=("number", known), mean=("number", mean), sofar=("number", known.cumsum()))
    return replace(made, true=frozenset({("covariate_shift", "sofar")}))  # a sum that grows is larger in test than ever in train


def numeric(made: Drawn) -> pd.Series:
    """The target as a number: itself, or whether it is the first class."""
    return made.frame["t"] if made.task == "regression" else (made.frame["t"] == made.classes()[0]).astype(float)


HONEST = (plain, strong, coarse_table, grouped, series)
