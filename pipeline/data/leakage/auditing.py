"""The audit as a whole."""

from __future__ import annotations

from dataclasses import replace

import ibis
import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from pipeline.config import SplitParams
from pipeline.data import judging
from pipeline.data.engine import sample
from pipeline.data.leakage import copies, entities
from pipeline.data.leakage.agreement import changed_copies, coincidence
from pipeline.data.leakage.finding import Audit, Finding
from pipeline.data.leakage.frames import Frames, frames
from pipeline.data.leakage.future import future
from pipeline.data.leakage.identities import identities
from pipeline.data.leakage.labels import label_errors
from pipeline.data.leakage.near import noisy_copies
from pipeline.data.leakage.profiles import profiles
from pipeline.data.leakage.shift import jumps, shift
from pipeline.data.leakage.telling import giveaways
from pipeline.data.leakage.together import together
from pipeline.data.schema import Schema
from pipeline.data.splitting import SIDE
from pipeline.terminal import progress

USED = ("train", "validation", "test")
FITTED = 262_144  # train rows on which single columns are judged
SURE = 0.95  # of the target's uncertainty, from which a column that takes it is an error
COPIES = ("exact_copies", "near_copies")
GRAVITY = ("error", "warning", "note")


def audit(backend: Backend, sided: ir.Table, schema: Schema, split: SplitParams, seed: int) -> Audit:
    """Search the sides of a typed table for leaks; models see bounded samples, counts all rows."""
    with progress.step("search for leaks", 10) as step:
        return _audit(backend, sided, schema, split, seed, step)


def _audit(backend: Backend, sided: ir.Table, schema: Schema, split: SplitParams, seed: int, step: progress.Step) -> Audit:
    def next_(what: str) -> None:
        step.at(step.done + bool(step.note), what)

    train = sided.filter(sided[SIDE] == "train")
    group = split.by if split.strategy in ("group", "stratified_group") else None
    sides = backend.to_pyarrow(sided.group_by(SIDE).aggregate(rows=ibis._.count()).order_by(SIDE)).to_pylist()
    rows = {row[SIDE]: row["rows"] for row in sides if row[SIDE]}
    next_("columns that give the target away")
    given = {} if schema.task == "forecast" else giveaways(backend, sample(train, FITTED), schema, group=group)
    findings = [_given(name, share, schema) for name, share in given.items()]
    next_("rows to look at")
    seen = frames(backend, sided, schema, split, seed)
    next_("rows and things on several sides")
    findings += shared(backend, sided, schema, split)
    next_("the target made of columns")
    if schema.task == "regression":
        findings += identities(backend, train, schema, given)
    if split.strategy == "time":
        findings += future(backend, train, schema, split)
    next_("profiles")
    findings += jumps(seen)
    if schema.task != "forecast":
        findings += [] if any(finding.kind == "entity" for finding in findings) else profiles(seen)
        next_("near copies")
        changed = changed_copies(seen)
        findings = findings if changed else _by_chance(findings, seen)
        searches = {
            "noisy copies": lambda: noisy_copies(seen),
            "columns that tell together": lambda: together(seen, given),
            "wrong labels": lambda: label_errors(seen),
            "shift": lambda: shift(seen, unread(backend, train, seen)),
        }
        findings += changed
        for what, search in searches.items():
            next_(what)
            findings += search()
    findings.sort(key=lambda finding: GRAVITY.index(finding.severity))
    return Audit(tuple(findings), given, {"rows": rows, "sampled": {"train": len(seen.train), "held out": len(seen.held_out)}})


def unread(backend: Backend, train: ir.Table, seen: Frames) -> set[str]:
    """Columns that normalize will set aside as useless: ids, running numbers and constants; dates are not looked at."""
    kinds = {name: seen.kind(name) for name in seen.features if seen.kind(name) != "datetime"}
    return set(dict(judging.useless(judging.look(backend, train, sample(train, FITTED), kinds))))


def shared(backend: Backend, sided: ir.Table, schema: Schema, split: SplitParams) -> list[Finding]:
    """Rows and entities that stand on several sides."""
    used = sided.filter(sided[SIDE].isin(USED))
    count = int(backend.to_pyarrow(used.count()).as_py())
    keys = entities.candidates(backend, used, schema, split, count=count)
    drawn = used
    if count >= 2 * copies.LOOKED_AT:  # one scan for all
        draws = [copies.draw(used, schema, count), *(entities.draw(used, key, count) for key in keys)]
        drawn = backend.create_table("leakage_drawn", used.filter(ibis.or_(*draws)), temp=True, overwrite=True)
    found = copies.copies(backend, used, schema, split, count=count, drawn=drawn)
    return found + entities.entities(backend, drawn, schema, split, names=keys, count=count)


def _by_chance(findings: list[Finding], seen: Frames) -> list[Finding]:
    """The findings, those on copies as notes where columns are so few and coarse that chance makes as many."""
    found = [finding for finding in findings if finding.kind in COPIES and finding.severity != "note"]
    if not found or not coincidence(seen):
        return findings
    told, remedy = " Chance makes as many: the columns are few and coarse.", "nothing; were they one thing entered twice, "
    return [replace(f, severity="note", title=f.title + told, remedy=remedy + f.remedy) if f in found else f for f in findings]


def _given(name: str, share: float, schema: Schema) -> Finding:
    title = f"{name} gives {schema.target} away: alone, where it is present, it takes {100 * share:.1f}% of its uncertainty."
    severity = "error" if share >= SURE else "warning"
    return Finding("target", severity, (name,), title, f"data: {{columns: {{{name}: ignore}}}}", {"share": share})  # type: ignore[arg-type]
