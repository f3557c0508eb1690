"""Leaks in forms that are hard to see, planted by seed into the honest tables of leak_tables, each with what must be named."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from leak_tables import Drawn, drawn, numeric, persons

from pipeline.data.leakage.finding import Finding


@dataclass(frozen=True)
class Planted:
    """A table with a leak; `hit` tells whether a finding names it, `columns` take part in it, `kinds` are its further names."""

    table: Drawn
    hit: Callable[[Finding], bool]
    columns: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()

    def concerns(self, found: Finding) -> bool:
        """Whether a finding has to do with the leak."""
        return self.hit(found) or bool(self.columns & {*found.columns}) or found.kind in self.kinds


def told(kind: str | tuple[str, ...], table: Drawn, *columns: str, also: Collection[str] = ()) -> Planted:
    """A leak that is named by a finding of `kind` with just these columns."""
    kinds = (kind,) if isinstance(kind, str) else kind
    return Planted(table, lambda found: found.kind in kinds and set(found.columns) == set(columns), frozenset(columns), frozenset(also))


def classes(seed: int) -> Drawn:
    return drawn(seed, ("binary", "multiclass")[seed % 2])


def numbers(seed: int, *, columns: tuple[int, int] = (3, 15)) -> Drawn:
    return drawn(seed, "regression", columns=columns)


# the target again


def words(seed: int, *, noise: float = 0.0, missing: float = 0.0, coded: bool = False) -> Planted:
    """Classes under other names or as numbers."""
    made = classes(seed)
    names = made.rng.permutation(made.classes())
    copy = made.frame["t"].to_numpy(object).copy()
    turned = made.rng.random(len(copy)) < noise
    copy[turned] = [made.rng.choice(names[names != name]) for name in copy[turned]]
    values: pd.Series = pd.Series(copy).map({name: float(at * 3 + 1) if coded else f"group {at}" for at, name in enumerate(names)})
    values[made.rng.random(len(values)) < missing] = None
    return told("target", made.adding(copy=("number" if coded else "category", values)), "copy")


def coded(seed: int) -> Planted:
    return words(seed, coded=True)


def noisy(seed: int) -> Planted:
    return words(seed, noise=0.02, coded=seed % 4 > 1)


def missing(seed: int) -> Planted:
    return words(seed, missing=0.1 + seed % 7 * 0.05, coded=seed % 4 > 1)


def score(seed: int) -> Planted:
    """A number with many values of which each class has a range of its own."""
    made = classes(seed)
    order = {name: at for at, name in enumerate(made.rng.permutation(made.classes()))}
    values = made.frame["t"].map(order).to_numpy(float) + made.rng.random(len(made.frame)) * 0.9
    return told("target", made.adding(copy=("number", np.exp(values) if seed % 3 else values)), "copy")


def affine(seed: int) -> Planted:
    made = numbers(seed)
    y = made.frame["t"]
    return told("target", made.adding(copy=("number", (y + made.rng.normal(size=len(y)) * y.std() * 0.01) * -1.8 + 32)), "copy")


def monotone(seed: int) -> Planted:
    """A bend that keeps the order, with some values missing."""
    made = numbers(seed)
    ranks = made.frame["t"].rank(pct=True)
    values = [np.exp(9 * ranks), -(ranks**7), np.tan((ranks - 0.5) * 3.1), np.sign(ranks - 0.5) * (ranks - 0.5) ** 2][seed % 4]
    return told("target", made.adding(copy=("number", values.mask(made.rng.random(len(ranks)) < 0.1 * (seed % 3)))), "copy")


def rounded(seed: int) -> Planted:
    made = numbers(seed)
    y = made.frame["t"]
    grid = (y.quantile(0.95) - y.quantile(0.05)) / float(made.rng.integers(8, 40))
    return told("target", made.adding(copy=("number", (y / grid).round() * grid)), "copy")


def binned(seed: int) -> Planted:
    """Three to ten ranges of the target, as words or as numbers in any order."""
    made = numbers(seed)
    ends = np.unique(made.frame["t"].quantile(np.arange(1, bins := int(made.rng.integers(3, 11))) / bins))
    names = made.rng.permutation(len(ends) + 1)
    at = names[np.searchsorted(ends, made.frame["t"], side="left")]
    return told(
        "target", made.adding(copy=("category", np.array([f"band {n}" for n in at])) if seed % 2 else ("number", at.astype(float))), "copy"
    )


# the target made up by several columns


def total(seed: int, *, parts: int = 2, sign: float = 1.0) -> Planted:
    """A sum or a difference, exact or with noise of up to a hundredth, among other columns with missing values."""
    made = numbers(seed, columns=(3, 14))
    rng, y = made.rng, made.frame["t"]
    pieces = {
        f"part{at}": rng.choice([rng.normal(size=len(y)), rng.lognormal(0, 1, len(y))]) * y.std() * rng.uniform(0.3, 3)
        for at in range(parts - 1)
    }
    whole = y.to_numpy() + rng.normal(size=len(y)) * y.std() * (0, 1e-4, 1e-2)[seed % 3]
    pieces["rest"] = whole - sign * sum(pieces.values())
    return told("identity", made.adding(**{name: ("number", values) for name, values in pieces.items()}), *pieces)


def difference(seed: int) -> Planted:
    return total(seed, sign=-1.0)


def three(seed: int) -> Planted:
    return total(seed, parts=3)


def product(seed: int, *, power: float = 1.0) -> Planted:
    """A product, or a quotient where the power is -1, of columns that may be zero or negative."""
    made = numbers(seed, columns=(3, 14))
    rng, y = made.rng, made.frame["t"].to_numpy()
    part = rng.lognormal(0, 0.7, len(y)) * rng.choice([-1.0, 1.0], len(y), p=[0.2, 0.8] if seed % 2 else [0.0, 1.0])
    other = (y + rng.normal(size=len(y)) * y.std() * (0, 1e-4, 1e-2)[seed % 3]) / part**power
    return told("identity", made.adding(part=("number", part), rest=("number", other)), "part", "rest")


def ratio(seed: int) -> Planted:
    return product(seed, power=-1.0)


def xor(seed: int) -> Planted:
    """A class that two columns tell only together."""
    made = drawn(seed, "binary")
    rng, rows = made.rng, len(made.frame)
    a = rng.normal(size=rows)
    b, high = (rng.lognormal(size=rows), None) if seed % 2 else (rng.choice(list("pqrs"), rows, p=[0.3, 0.3, 0.2, 0.2]), None)
    high = b > np.quantile(b, rng.uniform(0.3, 0.7)) if seed % 2 else np.isin(b, ["p", "r"])
    made = made.adding(a=("number", a), b=("number" if seed % 2 else "category", b))
    truth = (made.frame["a"] > np.quantile(a, rng.uniform(0.3, 0.7))).to_numpy() ^ high
    names = made.classes()
    return told("target_together", replace(made, frame=made.frame.assign(t=np.where(truth, names[0], names[1]))), "a", "b")


# rows again


def wide(seed: int) -> Drawn:
    """A table whose rows can be told apart: two measurements beside the columns drawn."""
    made = drawn(seed, columns=(3, 13))
    rows = len(made.frame)
    return made.adding(m0=("number", made.rng.normal(170, 9, rows).round(2)), m1=("number", made.rng.lognormal(3, 1, rows).round(2)))


def again(made: Drawn, change: Callable[[pd.DataFrame], pd.DataFrame] = lambda frame: frame) -> Drawn:
    """With a tenth of the rows a second time, each changed and with an id of its own."""
    more = made.frame.iloc[made.rng.choice(len(made.frame), len(made.frame) // 10, replace=False)].reset_index(drop=True)
    more = change(more)
    if "c_id" in more:
        more = more.assign(c_id=more["c_id"] + "b")
    both = pd.concat([made.frame, more], ignore_index=True)
    return replace(made, frame=both.sample(frac=1, random_state=1, ignore_index=True))


def row_kind(*kinds: str, table: Drawn) -> Planted:
    return Planted(
        table,
        lambda found: found.kind in kinds,
        kinds=frozenset({"exact_copies", "near_copies", "noisy_copies", "changed_copies", "entity"}),
    )


def exact(seed: int) -> Planted:
    made = wide(seed)
    return row_kind(
        "exact_copies",
        table=again(
            replace(
                made, frame=made.frame.drop(columns="c_id", errors="ignore"), kinds={n: k for n, k in made.kinds.items() if n != "c_id"}
            )
        ),
    )


def spelt(seed: int) -> Planted:
    """Another case, white space or punctuation."""
    made = wide(seed)
    made = made.adding(town=("category", made.rng.choice(["Upper Mill", "Lower-End", "St. Ann", "Kiln"], len(made.frame))))

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        town = frame["town"]
        return frame.assign(town=[town.str.upper(), town + "  ", town.str.replace(r"[ .-]+", "_", regex=True)][seed % 3])

    return row_kind("near_copies", table=again(made, change))


def blurred(seed: int) -> Planted:
    """Every measurement moved by a millionth to a thousandth of its spread."""
    made = wide(seed)
    size = 10 ** made.rng.uniform(-6, -3)

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        moved = {name: frame[name] + made.frame[name].std() * size * made.rng.uniform(-1, 1, len(frame)) for name in ("m0", "m1")}
        return frame.assign(**moved)

    return row_kind("noisy_copies", table=again(made, change))


def altered(seed: int) -> Planted:
    """One column of each row replaced by another row's value."""
    made = wide(seed)
    pool = {name: made.frame[name].dropna().unique() for name in made.features}

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.copy()
        for at, name in enumerate(made.rng.choice(made.features, len(frame))):
            frame.loc[at, name] = made.rng.choice(pool[name])
        return frame

    return row_kind("changed_copies", "near_copies", "noisy_copies", table=again(made, change))


# things that stand on both sides


def number_key(seed: int) -> Planted:
    made = drawn(seed, columns=(3, 8))
    person, traits = persons(made, traits=5)
    return keyed(made.adding(**traits, person=("number", 1000.0 + 7 * person)), traits)


def code_key(seed: int) -> Planted:
    made = drawn(seed, columns=(3, 8))
    person, traits = persons(made, traits=5)
    return keyed(made.adding(**traits, person=("category", [f"{at % 26:02d}-K{at:05d}" for at in person])), traits)


def keyed(made: Drawn, traits: Collection[str]) -> Planted:
    return Planted(
        made, lambda found: found.kind == "entity" and found.columns == ("person",), frozenset({"person", *traits}), frozenset({"entity"})
    )


def profile(seed: int) -> Planted:
    """Persons without a key: rows that are equal in many columns together."""
    made = drawn(seed, columns=(3, 6))
    _, traits = persons(made, traits=7)
    return Planted(
        made.adding(**traits),
        lambda found: found.kind == "entity" and set(found.columns) <= {*traits},
        frozenset(traits),
        frozenset({"entity", "changed_copies"}),
    )


# what was known only later


def ahead(seed: int) -> Planted:
    """The next row's target, itself or under other names."""
    made = drawn(seed, columns=(3, 10), time=True)
    soon = made.frame["t"].shift(-1)
    if made.task == "regression" or seed % 3:
        soon = numeric(made).shift(-1) * 3 + 1
        return told("future", made.adding(soon=("number", soon)), "soon")
    return told("future", made.adding(soon=("category", soon.map({name: f"w{at}" for at, name in enumerate(made.classes())}))), "soon")


def centred(seed: int) -> Planted:
    """A mean over rows on both sides of the row."""
    made = drawn(seed, columns=(3, 10), time=True)
    values = numeric(made).rolling(int(made.rng.integers(2, 13)) * 2 + 1, center=True).mean()
    return told("future", made.adding(soon=("number", values)), "soon")


def running(seed: int) -> Planted:
    """A sum or a decaying mean that takes in the row's own target."""
    made = drawn(seed, columns=(3, 10), time=True)
    values = numeric(made).cumsum() if seed % 2 else numeric(made).ewm(alpha=0.2).mean()
    return told("future", made.adding(soon=("number", values)), "soon")


# labels and sides


def flipped(seed: int) -> Planted:
    """One label in twenty turned into another, where a column tells the class: were classes nearer, honest rows would look wrong."""
    made = drawn(seed, ("binary", "multiclass")[seed % 2], columns=(3, 10))
    names = made.classes()
    column = made.frame["t"].map({name: at for at, name in enumerate(names)}) * 6 + made.rng.normal(size=len(made.frame))
    made = made.adding(x=("number", column.round(3)))
    wrong = made.rng.random(len(made.frame)) < 0.05
    turned = {name: names[at - 1] for at, name in enumerate(names)}
    frame = made.frame.assign(t=made.frame["t"].where(~wrong, made.frame["t"].map(turned)))
    frame = frame.assign(mark=wrong)

    def hit(found: Finding) -> bool:
        return found.kind == "suspected_labels"

    return Planted(replace(made, frame=frame), hit)


def drift(seed: int) -> Planted:
    """A column whose values move by one to two of its spreads in the last third of the time."""
    made = drawn(seed, columns=(3, 10), time=True)
    rows = len(made.frame)
    later = np.arange(rows) > rows * 0.68
    values = made.rng.normal(size=rows) + later * made.rng.uniform(1, 2)
    return Planted(
        made.adding(x=("number", values.round(4))),
        lambda found: found.kind == "covariate_shift" and found.columns[0] == "x",
        frozenset({"x"}),
        frozenset({"covariate_shift"}),
    )


TARGETS = (words, coded, noisy, missing, score, affine, monotone, rounded, binned)
TOGETHER = (total, difference, three, product, ratio, xor)
ROWS = (exact, spelt, blurred, altered)
ENTITIES = (number_key, code_key, profile)
LATER = (ahead, centred, running)
OTHERS = (flipped, drift)
LEAKS = (*TARGETS, *TOGETHER, *ROWS, *ENTITIES, *LATER, *OTHERS)
