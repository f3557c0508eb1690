"""Columns that would give the target away, found by the leakage audit's own searches on a trial split."""

from __future__ import annotations

from dataclasses import dataclass, field

import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from pipeline.config import SplitParams
from pipeline.data.engine import sample
from pipeline.data.leakage.auditing import FITTED, SURE, shared
from pipeline.data.leakage.future import future
from pipeline.data.leakage.identities import identities
from pipeline.data.leakage.telling import giveaways
from pipeline.data.schema import Schema, as_key
from pipeline.data.splitting import SIDE

AGAIN = 0.999  # of a number's variance: below it a column may be honest, as yesterday's value is


@dataclass(frozen=True)
class Leaks:
    """Columns to set aside with the reason, columns to look at with what is odd, the key of an entity, rows that stand twice."""

    aside: dict[str, str] = field(default_factory=dict)
    odd: list[str] = field(default_factory=list)
    entity: str | None = None
    entity_told: str = ""
    copies: str = ""


def leaks(backend: Backend, sided: ir.Table, schema: Schema, split: SplitParams) -> Leaks:
    """Search a typed table that is on sides; what is set aside never takes the last column."""
    train = sided.filter(sided[SIDE] == "train")
    target, aside, odd = schema.target, dict[str, str](), list[str]()
    given = giveaways(backend, sample(train, FITTED), schema, group=None)
    for name, share in given.items():
        if share >= (AGAIN if schema.task == "regression" else SURE):
            aside[name] = (
                f"{target} under another name" if share >= AGAIN else f"alone it tells {share:.0%} of {target}: was it known before?"
            )
        else:
            mend = f"columns: {{{as_key(name)}: ignore}}"
            odd.append(f"{name} alone takes {share:.0%} of the uncertainty of {target}: was it known before? If not, {mend}")
    found = identities(backend, train, schema, given) if schema.task == "regression" else []
    for finding in found:
        if finding.severity == "error" and len(finding.columns) <= 3:
            together = " and ".join(finding.columns)
            aside |= dict.fromkeys(finding.columns, f"{target} is made up of {together}")
        else:
            odd.append(finding.title)
    if split.strategy == "time":
        for finding in future(backend, train, schema, split):
            if finding.severity == "error":
                aside |= dict.fromkeys(finding.columns, finding.title.rstrip("."))
            else:
                odd.append(finding.title)
    odd = [told for told in odd if told.partition(" ")[0] not in aside]
    inputs = {column.name for column in schema.columns if column.kind not in ("ignore", "id")} - {target, split.by}
    if inputs <= aside.keys():
        odd += [f"{name}: {why}; nothing else is left to learn from, so it stays" for name, why in aside.items()]
        aside = {}
    keys = shared(backend, sided, schema, split)
    entity = next(
        (f for f in keys if f.kind == "entity" and f.severity == "error" and len(f.columns) == 1 and f.columns[0] not in aside), None
    )
    copies = next((f.title for f in keys if f.kind == "exact_copies" and f.severity != "note"), "")
    return Leaks(aside, odd, entity.columns[0] if entity else None, entity.title if entity else "", copies)
