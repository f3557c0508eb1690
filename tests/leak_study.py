"""The study of the leakage audit: how often planted leaks are named, and how often something is named where nothing leaks."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import ibis.expr.types as ir
from ibis.backends.duckdb import Backend
from leak_tables import HONEST, Drawn
from planted_leaks import ENTITIES, LATER, LEAKS, ROWS, TARGETS, TOGETHER, drift, flipped, xor
from threadpoolctl import threadpool_limits

from pipeline.config import SplitParams
from pipeline.data.engine import ROW_ID, engine, with_row_id
from pipeline.data.leakage.agreement import changed_copies
from pipeline.data.leakage.auditing import audit, shared
from pipeline.data.leakage.finding import Finding
from pipeline.data.leakage.frames import Frames, frames
from pipeline.data.leakage.future import future
from pipeline.data.leakage.identities import identities
from pipeline.data.leakage.labels import label_errors
from pipeline.data.leakage.near import noisy_copies
from pipeline.data.leakage.profiles import profiles
from pipeline.data.leakage.shift import shift
from pipeline.data.leakage.telling import giveaways
from pipeline.data.leakage.together import together
from pipeline.data.schema import Column, Schema
from pipeline.data.splitting import SIDE, settled
from pipeline.data.splitting import marked as sides

RAW = {"number": "number", "boolean": "boolean", "datetime": "datetime"}
GRAVE = ("error", "warning")
LISTED = 0.8  # share of the rows listed as wrongly labelled that must be so


@dataclass(frozen=True)
class Rate:
    """Of `tables` tables of one kind: the seeds at which its leak was not named, and what else was named at which seed."""

    what: str
    tables: int
    missed: tuple[int, ...]
    false: dict[int, list[str]]


@dataclass(frozen=True)
class Sided:
    """A table on its sides, as split has it before the audit."""

    backend: Backend
    rows: ir.Table
    table: Drawn
    schema: Schema
    split: SplitParams

    @property
    def train(self) -> ir.Table:
        return self.rows.filter(self.rows[SIDE] == "train")

    def seen(self) -> Frames:
        return frames(self.backend, self.rows, self.schema, self.split, 0)

    def audited(self) -> list[Finding]:
        return list(audit(self.backend, self.rows, self.schema, self.split, 0).findings)

    def given(self) -> list[Finding]:
        found = giveaways(self.backend, self.train, self.schema, group=None)
        return [Finding("target", "error", (name,), "", "") for name in found]


@contextmanager
def sided(table: Drawn) -> Iterator[Sided]:
    columns = tuple(Column(name, RAW.get(kind, "text"), kind, "") for name, kind in table.kinds.items())  # type: ignore[arg-type]
    schema = Schema(columns, "t", table.task, table.classes()[-1] if table.task == "binary" else None, ("",))
    with engine() as backend:
        backend.con.execute("SET threads = 1")  # the tables are small, and there is a process for each core
        rows = backend.create_table("rows", with_row_id(backend.create_table("source", table.frame[list(table.kinds)])))
        split = settled(rows, schema, SplitParams(**table.split))
        made = backend.create_table("sided", sides(rows, schema, split, 0).select(SIDE, *rows.columns).order_by(ROW_ID))
        yield Sided(backend, made, table, schema, split)


def _of(kind: str, found: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in found if finding.kind == kind]


SEARCHES: dict[Callable, Callable[[Sided], Iterable[Finding]]] = {
    **dict.fromkeys(TARGETS, Sided.given),
    **dict.fromkeys(TOGETHER, lambda on: identities(on.backend, on.train, on.schema, {})),
    xor: lambda on: together(on.seen(), ()),
    **dict.fromkeys(
        ROWS, lambda on: [*shared(on.backend, on.rows, on.schema, on.split), *changed_copies(on.seen()), *noisy_copies(on.seen())]
    ),
    **dict.fromkeys(ENTITIES, lambda on: [*_of("entity", shared(on.backend, on.rows, on.schema, on.split)), *profiles(on.seen())]),
    **dict.fromkeys(LATER, lambda on: future(on.backend, on.train, on.schema, on.split)),
    flipped: lambda on: label_errors(on.seen()),
    drift: lambda on: shift(on.seen()),
}


def leak(plant: Callable, seed: int, *, whole: bool) -> tuple[bool, list[str]]:
    """Whether the leak is named, and what is named beside it that has nothing to do with it."""
    planted = plant(seed)
    with sided(planted.table) as on:
        found = on.audited() if whole else list(SEARCHES[plant](on))
        hit = any(planted.hit(finding) for finding in found)
        if hit and plant is flipped:
            hit = _right(found, on) >= LISTED
    return hit, _grave([f for f in found if not planted.concerns(f)], planted.table)


def honest(make: Callable, seed: int) -> tuple[bool, list[str]]:
    """What is named in a table without a leak."""
    table = make(seed)
    with sided(table) as on:
        return True, _grave(on.audited(), table)


def _right(found: list[Finding], on: Sided) -> float:
    """The share of the rows listed as wrongly labelled whose label was turned."""
    listed = {row for finding in _of("suspected_labels", found) for row, _ in finding.details["examples"]}
    turned = on.backend.to_pandas(on.rows.select(ROW_ID, "x")).merge(on.table.frame.loc[on.table.frame["mark"], ["x"]].drop_duplicates())
    return len(listed & set(turned[ROW_ID])) / len(listed)


def _grave(found: list[Finding], table: Drawn) -> list[str]:
    return [f"{f.kind} {' '.join(f.columns)}" for f in found if f.severity in GRAVE and (f.kind, *f.columns[:1]) not in table.true]


def _one(job: tuple[Callable, int, bool]) -> tuple[bool, list[str]]:
    make, seed, whole = job
    return leak(make, seed, whole=whole) if make in LEAKS else honest(make, seed)


def study(makers: Iterable[Callable], seeds: int, *, first: int = 0, whole: bool = False, workers: int | None = None) -> list[Rate]:
    """The rates of each maker of tables over so many seeds from `first` on.

    Tables without a leak go through the whole audit, those with one through the searches for it unless `whole`.
    """
    makers = list(makers)
    jobs = [(make, seed, whole) for make in makers for seed in range(first, first + seeds)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers or os.cpu_count(), mp_context=context, initializer=threadpool_limits, initargs=(1,)) as pool:
        done = iter(list(pool.map(_one, jobs, chunksize=max(1, seeds // 10))))
    rates = []
    for make in makers:
        found = [next(done) for _ in range(seeds)]
        missed = tuple(seed for seed, (hit, _) in enumerate(found, first) if not hit)
        rates.append(Rate(make.__name__, seeds, missed, {seed: other for seed, (_, other) in enumerate(found, first) if other}))
    return rates


def markdown(rates: Iterable[Rate]) -> str:
    """The rates as a table."""
    lines = ["| table | named of | wrongly named |", "| --- | --- | --- |"]
    for rate in rates:
        named = f"{rate.tables - len(rate.missed)} of {rate.tables}" if rate.what in {make.__name__ for make in LEAKS} else ""
        lines.append(f"| {rate.what} | {named} | {len(rate.false)} |")
    return "\n".join(lines)


ALL = (*LEAKS, *HONEST)
