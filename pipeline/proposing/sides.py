"""How to split: what the rows suggest, tried on them, so that what is written holds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd
from ibis.backends.duckdb import Backend

from pipeline.config import SplitParams
from pipeline.data import givensplit, sizes, spelling, splitting
from pipeline.data.engine import totals
from pipeline.data.schema import Schema
from pipeline.errors import UserError

SEED = 7
SEEDS = (SEED, *range(8, 28))
FEW = 1000  # rows below which larger parts are held out
GROUPS = 20  # fewest values of a column by which rows are kept together
MOST_ROWS = 50  # rows a value, on average
NAMES = frozenset((
    "id", "uid", "uuid", "guid", "customer", "client", "patient", "user", "person", "individual", "respondent", "subject", "participant",
    "member", "household", "machine", "device", "sensor", "vehicle", "store", "account", "player", "student", "session", "group", "speaker",
    "author", "key",
))  # fmt: skip


@dataclass(frozen=True)
class Sides:
    """The split as keys of params.yaml, why, and the seed by which it holds."""

    keys: dict[str, Any]
    why: str
    seed: int = SEED
    notes: tuple[str, ...] = ()

    @property
    def params(self) -> SplitParams:
        return SplitParams(**self.keys)


def given(frame: pd.DataFrame, kinds: Mapping[str, str], target: str) -> Sides | None:
    """A column whose every value is a usual name of a side, train and test among them."""
    known: dict[str, str] = {name: side for side, names in givensplit.NAMES.items() for name in names}
    for name in (name for name, kind in kinds.items() if kind == "category" and name != target and name in frame):
        values = frame[name].dropna().unique()
        if frame[name].isna().any() or len(values) > len(known):
            continue
        sides = [known.get(value.strip().casefold()) for value in values]
        if {"train", "test"} <= set(sides) and None not in sides:
            why = f"{name} says it: " + ", ".join(sorted(str(value) for value in values))
            return Sides({"strategy": "given", "by": name, **({} if "validation" in sides else {"validation": 0.15})}, why)
    return None


def shares(rows: int) -> dict[str, float]:
    """Parts held out: more of few rows, so that a result says something."""
    return {"validation": 0.2, "test": 0.2} if rows < FEW else {"validation": 0.15, "test": 0.15}


def called_key(name: str) -> bool:
    """Whether a column is called as what names a thing: customer, patient_id, deviceId."""
    words = set(re.split(r"[\W_]+", name.lower()))
    return bool(words & NAMES) or (name[-2:] in ("ID", "Id") and len(name) > 2)


def returning(distinct: int, rows: int) -> bool:
    """Whether so many values in so many rows are things that have several rows each, rather than ids of rows or classes of things."""
    return distinct >= GROUPS and 1.2 <= rows / distinct <= MOST_ROWS


def holding(backend: Backend, clean: ir.Table, schema: Schema, sides: Sides, *, whole: bool) -> Sides:
    """The split, or the nearest to it that leaves enough rows of every class on each side of these rows.

    Where only a sample of the rows is here nothing is tried.

    Raises:
        UserError: no split of these rows will do.
    """
    if not whole:
        return sides
    first: UserError | None = None
    for tried in _ladder(sides, schema, rarest=_rarest(backend, clean, schema)):
        try:
            split = splitting.settled(clean, schema, tried.params)
            marked, _ = spelling.merged(backend, splitting.marked(clean, schema, split, tried.seed), schema)
            sizes.describe(backend, marked, schema, split)
            return tried
        except UserError as error:
            first = first or error
    assert first is not None
    raise first


def _rarest(backend: Backend, clean: ir.Table, schema: Schema) -> int:
    """Rows of the rarest class; one for each side where there are no classes."""
    if schema.task not in spelling.CLASSES:
        return 3
    labels = clean.select(label=clean[schema.target].cast("string").lower()).drop_null("label")
    counts = labels.group_by("label").aggregate(rows=ibis._.count())
    return int(totals(backend, counts, {"least": counts["rows"].min()})["least"] or 0)


def _ladder(sides: Sides, schema: Schema, *, rarest: int) -> Iterator[Sides]:
    yield sides
    strategy = sides.keys["strategy"]
    if strategy not in ("time", "given") and rarest >= 3:
        larger = replace(sides, keys={**sides.keys, "validation": 0.2, "test": 0.2})
        yield from (replace(each, seed=seed) for each in (sides, larger) for seed in SEEDS[1:])
    if schema.task in spelling.CLASSES:
        rare = "some classes have too few rows for every side: merge them in the source, or add rows"
        free = replace(sides, keys={**sides.keys, "min_class_rows": 0}, notes=(*sides.notes, rare))
        yield from (replace(free, seed=seed) for seed in (SEEDS if strategy not in ("time", "given") else SEEDS[:1]))
        if strategy in ("time", "group"):
            plain: dict[str, Any] = {
                "strategy": "stratified",
                **{key: sides.keys[key] for key in ("validation", "test") if key in sides.keys},
            }
            why = f"a split by {strategy} would leave classes without rows on a side"
            yield from (Sides(plain, why, seed, sides.notes) for seed in SEEDS)
