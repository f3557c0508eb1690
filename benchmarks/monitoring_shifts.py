"""Populations with a model of them, and shifts that cost the model AUC: what `benchmarks/monitoring.py` draws its windows from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd
import workspace
from numpy.typing import NDArray
from scipy import stats

from pipeline.monitoring.drift import Kind
from pipeline.monitoring.windows import PREDICTION, Window

TELCO = workspace.ROOT.parent / "shared" / "datasets" / "tabular" / "telco_churn.csv"
LARGE = 100_000  # rows on which the true AUC is taken

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Window]
Change = Callable[[np.random.Generator, pd.DataFrame, float], pd.DataFrame]


@dataclass(frozen=True)
class Shift:
    """A change of size 0 to `most`: of the population before labels are drawn, of what the model gets to see afterwards, or of the law
    by which the inputs make the outcome (`change` is then not called: every input's weight in it is `size` smaller)."""

    what: str
    change: Change
    most: float
    of: Literal["population", "measurement", "concept"] = "population"


NOTHING = Shift("none", lambda _rng, rows, _size: rows, 0.0)


@dataclass(frozen=True)
class Case:
    """A population with a model of it; `idle` columns have no part in the outcome, and `harmless` shifts touch those alone.

    draw: (rng, rows, shift, size) to a table of the columns and labels (rows,) of 0 and 1.  answer: a table to probabilities (rows,).
    """

    name: str
    draw: Callable[[np.random.Generator, int, Shift, float], tuple[pd.DataFrame, Floats]]
    answer: Callable[[pd.DataFrame], Floats]
    shifts: tuple[Shift, ...]
    harmless: tuple[Shift, ...]
    idle: tuple[str, ...]

    @cached_property
    def used(self) -> tuple[str, ...]:
        """The columns that the model uses, and its prediction."""
        frame, _ = self.draw(np.random.default_rng(0), 10, NOTHING, 0.0)
        return (*(name for name in frame if name not in self.idle), PREDICTION)

    def large(self, shift: Shift = NOTHING, size: float = 0.0) -> tuple[Floats, Floats]:
        """Labels and answers of a large sample, always of the same seed."""
        frame, label = self.draw(np.random.default_rng(0), LARGE, shift, size)
        return label, self.answer(frame)

    def cost(self, shift: Shift, size: float) -> float:
        """The AUC that the model loses on a large sample."""
        return self._auc - area(*self.large(shift, size))

    def size(self, shift: Shift, wanted: float) -> float:
        """The size at which the shift costs so much AUC; `most` where it never does (bisection: costs rise with the size)."""
        low, high = 0.0, shift.most
        for _ in range(9 if self.cost(shift, shift.most) > wanted else 0):
            middle = (low + high) / 2
            low, high = (low, middle) if self.cost(shift, middle) >= wanted else (middle, high)
        return high

    def windows(self, shift: Shift = NOTHING, size: float = 0.0) -> Draw:
        """What draws windows of the changed population, the model's answers among the columns."""

        def draw(rng: np.random.Generator, rows: int) -> Window:
            frame, label = self.draw(rng, rows, shift, size)
            outputs = self.answer(frame)
            return Window(frame.assign(**{PREDICTION: outputs}), outputs, log_loss(label, outputs), np.arange(rows))

        return draw

    @cached_property
    def _auc(self) -> float:
        return area(*self.large())


def cases() -> list[Case]:
    """A table of a known law, and, where the file is there, telecom customers drawn with replacement from held-out rows."""
    return [synthetic(), *([telco()] if TELCO.exists() else [])]


def synthetic() -> Case:
    """`signal` matters in segment a alone and `curve` between -1 and 1, so that a change of the mix costs; three columns are idle."""
    plans = {"basic": -1.2, "plus": 0.0, "family": 0.8, "staff": 2.0, "trial": -2.4}

    def draw(rng: np.random.Generator, rows: int, shift: Shift, size: float) -> tuple[pd.DataFrame, Floats]:
        frame = pd.DataFrame(
            {
                "signal": rng.normal(size=rows),
                "curve": rng.normal(size=rows),
                "skewed": rng.lognormal(size=rows),
                "count": rng.poisson(2.0, rows).astype(float),
                "segment": np.array(["a", "b", "c"], dtype=object)[rng.choice(3, rows, p=[0.6, 0.3, 0.1])],
                "plan": np.array([*plans], dtype=object)[rng.choice(5, rows, p=[0.4, 0.25, 0.2, 0.1, 0.05])],
                "idle number": rng.normal(size=rows),
                "idle amount": rng.lognormal(size=rows),
                "idle category": np.array(list("abcdefghij"), dtype=object)[rng.integers(0, 10, rows)],
            }
        )
        frame = changed(rng, frame, shift, size, "population")
        score = (
            1.6 * frame["signal"] * (frame["segment"] == "a") + 1.1 * np.tanh(2 * frame["curve"]) + 0.8 * np.log(frame["skewed"].clip(1e-9))
        )
        weight = 1 - size if shift.of == "concept" else 1.0
        score = weight * (score + 0.25 * (frame["count"] - 2) + frame["plan"].map(plans).astype(float)) - 0.7
        label = (rng.random(rows) < 1 / (1 + np.exp(-score))).to_numpy(dtype=np.float64)
        return changed(rng, frame, shift, size, "measurement"), label

    shifts = (
        Shift("mean: curve grows", added("curve"), 4.0),
        Shift("variance: signal narrows", narrowed("signal"), 0.95),
        Shift("variance: all four numbers narrow a little", narrowed("signal", "curve", "count"), 0.9),
        Shift("mix: segment a gives way to c", replaced("segment", "a", "c"), 1.0),
        Shift("missing: signal for a share of rows", lost_values("signal"), 1.0, "measurement"),
        Shift("unit: skewed times 100 for a share of rows", times("skewed", 100.0), 1.0, "measurement"),
        Shift("noise: signal is measured worse", blurred("signal"), 3.0, "measurement"),
        Shift("spelling: plan 'basic' written anew for a share", replaced("plan", "basic", "Basic"), 1.0, "measurement"),
        Shift("concept: the outcome depends less on the inputs", NOTHING.change, 1.0, "concept"),
    )
    idle = (
        Shift("not used: idle number moves by a deviation", added("idle number"), 1.0),
        Shift("not used: idle amount times 100 in all rows", times("idle amount", 100.0), 1.0),
        Shift("not used: idle category is always 'a'", replaced("idle category", None, "a"), 1.0),
    )
    train = draw(np.random.default_rng(1), 20_000, NOTHING, 0.0)
    names = ("idle number", "idle amount", "idle category")
    return Case("synthetic", draw, boosted(*train), shifts, idle, names)


def telco() -> Case:
    """Half of the customers train the model, the others are the population that references and windows are drawn from."""
    table = pd.read_csv(TELCO)
    table["TotalCharges"] = pd.to_numeric(table["TotalCharges"], errors="coerce")
    table["SeniorCitizen"] = table["SeniorCitizen"].map({0: "no", 1: "yes"})
    numbers = ["tenure", "MonthlyCharges", "TotalCharges"]
    table = table.drop(columns="customerID").sample(frac=1, random_state=0).astype(dict.fromkeys(numbers, float))
    label, frame = (table["Churn"] == "Yes").to_numpy(dtype=np.float64), table.drop(columns="Churn")
    half = len(table) // 2
    held, held_label = frame.iloc[half:].reset_index(drop=True), label[half:]
    mix = Shift("mix: fewer customers on long contracts", lambda _rng, rows, _size: rows, 0.95)  # by the weights of the draw

    def draw(rng: np.random.Generator, rows: int, shift: Shift, size: float) -> tuple[pd.DataFrame, Floats]:
        weights = np.where((held["Contract"] != "Month-to-month") & (shift == mix), 1 - size, 1.0)
        at = rng.choice(len(held), rows, p=weights / weights.sum())
        return changed(rng, held.iloc[at].reset_index(drop=True), shift, size, "measurement"), held_label[at]

    shifts = (
        mix,
        Shift("missing: tenure for a share of rows", lost_values("tenure", "TotalCharges"), 1.0, "measurement"),
        Shift("missing: Contract for a share of rows", replaced("Contract", None, None), 1.0, "measurement"),
        Shift("unit: tenure and TotalCharges in years for a share", times("tenure", 1 / 12, "TotalCharges"), 1.0, "measurement"),
        Shift("noise: tenure is measured worse", blurred("tenure", "TotalCharges"), 5.0, "measurement"),
        Shift("spelling: 'Month-to-month' as 'monthly' for a share", replaced("Contract", "Month-to-month", "monthly"), 1.0, "measurement"),
    )
    idle = (Shift("not used: gender is always 'Female'", replaced("gender", None, "Female"), 1.0, "measurement"),)
    return Case("telecom customers", draw, boosted(frame.iloc[:half], label[:half]), shifts, idle, ("gender",))


def changed(rng: np.random.Generator, frame: pd.DataFrame, shift: Shift, size: float, moment: str) -> pd.DataFrame:
    """The frame with the shift in it, where this is its moment."""
    return shift.change(rng, frame, size) if shift.of == moment else frame


def added(name: str) -> Change:
    """`size` deviations more in every row."""
    return lambda _rng, rows, size: rows.assign(**{name: rows[name] + size * rows[name].std()})


def narrowed(*names: str) -> Change:
    """The spread about the mean is `size` smaller."""
    return lambda _rng, rows, size: rows.assign(**{name: rows[name] - size * (rows[name] - rows[name].mean()) for name in names})


def blurred(*names: str) -> Change:
    """Noise of `size` deviations on top."""
    return lambda rng, rows, size: rows.assign(
        **{name: rows[name] + size * rows[name].std() * rng.normal(size=len(rows)) for name in names}
    )


def lost_values(*names: str) -> Change:
    """Missing in a share `size` of the rows."""

    def change(rng: np.random.Generator, rows: pd.DataFrame, size: float) -> pd.DataFrame:
        lost = rng.random(len(rows)) < size
        return rows.assign(**{name: rows[name].mask(lost) for name in names})

    return change


def times(name: str, factor: float, *more: str) -> Change:
    """Multiplied in a share `size` of the rows."""

    def change(rng: np.random.Generator, rows: pd.DataFrame, size: float) -> pd.DataFrame:
        factors = np.where(rng.random(len(rows)) < size, factor, 1.0)
        return rows.assign(**{each: rows[each] * factors for each in (name, *more)})

    return change


def replaced(name: str, old: str | None, new: str | None) -> Change:
    """A share `size` of the rows with `old` (None: of all rows) gets `new`."""

    def change(rng: np.random.Generator, rows: pd.DataFrame, size: float) -> pd.DataFrame:
        hit = (rng.random(len(rows)) < size) & ((rows[name] == old).to_numpy() | (old is None))
        values = rows[name].to_numpy(dtype=object, copy=True)
        values[hit] = new
        return rows.assign(**{name: values})

    return change


def boosted(frame: pd.DataFrame, label: Floats) -> Callable[[pd.DataFrame], Floats]:
    """The probability of class 1 by boosted trees on all columns; an unseen category is missing to them."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    known = {name: sorted(frame[name].dropna().unique()) for name, kind in kinds_of(frame).items() if kind == "category"}

    def coded(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(**{name: pd.Categorical(rows[name], categories=values) for name, values in known.items()})

    trees = HistGradientBoostingClassifier(max_iter=60, categorical_features=[*known], random_state=0).fit(coded(frame), label)
    return lambda rows: np.asarray(trees.predict_proba(coded(rows))[:, 1])


def kinds_of(frame: pd.DataFrame) -> dict[str, Kind]:
    """Floats are numbers, all else is categories."""
    return {name: "number" if frame[name].dtype == np.float64 else "category" for name in frame}


def log_loss(label: NDArray[np.generic], outputs: Floats) -> Floats:
    """Of each row, in nats."""
    outputs = outputs.clip(1e-7, 1 - 1e-7)
    return np.asarray(-np.where(label, np.log(outputs), np.log(1 - outputs)))


def area(label: Floats, outputs: Floats) -> float:
    """The AUC: the share of pairs in which the positive has the higher output (Mann and Whitney 1947)."""
    ranks, positives = stats.rankdata(outputs), label.sum()
    return float((ranks[label == 1].sum() - positives * (positives + 1) / 2) / (positives * (len(label) - positives)))


def accuracy(label: Floats, outputs: Floats) -> float:
    """The share of rows on the right side of one half."""
    return float(((outputs >= 0.5) == label).mean())
