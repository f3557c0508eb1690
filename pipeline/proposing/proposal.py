"""From a source to what params.yaml should say of it, with the reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from pipeline.config import CleanParams, DataParams, ForecastParams
from pipeline.data import cleaning, splitting
from pipeline.data.bias import balance, class_rows, too_few
from pipeline.data.engine import SOURCE_FILE, engine, read, scratch, totals, write
from pipeline.data.rejects import repeated
from pipeline.data.schema import Schema, as_key
from pipeline.data.sources.parts import mistake
from pipeline.data.spelling import CLASSES
from pipeline.data.target import with_target
from pipeline.errors import UserError
from pipeline.proposing import leaks, opening, shapes, sides, sizing, targets
from pipeline.proposing.looking import MEDIA, Look, extent_of, fact_of, gathered, is_text, look_at
from pipeline.proposing.remarks import dates, distribution, name_of, oddities, rarer

FEWEST = 30  # rows from which train, validation and test can be made at all


@dataclass(frozen=True)
class Proposal:
    """What to write into params.yaml, and what was seen.

    `columns` are kinds to set with the reason; `notes` are lines on what people may want to look at;
    `rare` is the rarer of two classes and its share, where it is rare.
    """

    data: DataParams
    target_why: str
    others: tuple[targets.Choice, ...]
    unsure: bool
    task: str
    told: str
    columns: Mapping[str, tuple[str, str]]
    sides: sides.Sides
    drop: str
    duplicates: int
    sizes: sizing.Sizes
    name: str
    window: int
    rows: int
    width: int
    whole: bool
    unit: str = "rows"
    notes: tuple[str, ...] = ()
    step: str = ""
    rare: tuple[str, str] | None = None


def propose(source: str, target: str | None) -> Proposal:
    """Look at a source and conclude what params.yaml should say.

    Raises:
        UserError: it cannot be read, has too few rows, or no column that could be predicted.
    """
    with engine() as backend, scratch() as workspace:
        opened = opening.opened(backend, source, target, workspace)
        look = look_at(backend, opened, opened.table, opened.rows, workspace / "sample.parquet")
        if look.rows < FEWEST:
            raise mistake(source, f"{look.rows} rows are too few: expected at least {FEWEST}, for parts to train, validate and test on")
        return _proposed(backend, look, source, target, workspace)


def _proposed(backend: Backend, look: Look, source: str, target: str | None, workspace: Path) -> Proposal:
    data, chosen, choices = _chosen(backend, look, source, target)
    name = data.targets[0]
    unit, shape = "rows", None
    if not look.opened.made and (found := shapes.series(look.first, look.kinds, name)):
        data, look, shape, unit = gathered(backend, look, data, found, workspace)
    course = None if look.opened.made or shape else shapes.course(look.first, look.kinds, name, look.rows)
    if course:
        data = data.model_copy(
            update={"forecast": ForecastParams(time=course.time, series=course.series, look_back=course.look_back, horizon=course.horizon)}
        )
    elif not (look.opened.made or shape) and (note := shapes.twice(look.first, look.kinds, name, look.rows)):
        look.notes.append(note)
    schema = with_target(backend, look.raw, look.columns, data, CleanParams())
    _check_inputs(look, schema, source)
    write(cleaning.clean(look.raw, schema), workspace / "clean.parquet")
    clean = read(backend, workspace / "clean.parquet")
    columns = dict[str, tuple[str, str]]()
    drop = _duplicates(look, schema)
    duplicates = int(totals(backend, look.raw, {"n": repeated(look.raw).sum()})["n"] or 0)
    split = _sides(backend, look, schema, course)
    if schema.task != "forecast":
        split, columns = _judged(backend, look, clean, schema, split)
        split = sides.holding(backend, clean, schema, split, whole=look.opened.whole)
    told = balance(backend, clean, schema)
    few = too_few(class_rows(backend, clean, schema), name) if schema.task in CLASSES and look.opened.whole else ""
    rare = rarer(backend, clean, told, schema)
    if rare and rare[0] != max(told["classes"]):
        data = data.model_copy(update={"positive": rare[0]})
    columns |= dates(look.columns, name)
    train = int(look.rows * (1 - sum(split.keys.get(side, 0.15) for side in ("validation", "test"))))
    sizes = sizing.sized(extent_of(backend, look, schema, course), train)
    held = int(look.rows * split.keys.get("test", 0.15))
    return Proposal(
        data=data,
        target_why=chosen.why,
        others=tuple(choices[1:4]),
        unsure=target is None and targets.unsure(choices),
        task=schema.task,
        told=distribution(told, schema),
        columns=columns,
        sides=split,
        drop=drop if duplicates else "",
        duplicates=duplicates,
        sizes=sizes,
        name=name_of(source),
        window=max(30, min(1000, held // 2 // 10 * 10)),
        rows=look.rows,
        width=len(look.columns),
        whole=look.opened.whole,
        unit=unit,
        notes=(*([few] if few else split.notes), *look.notes, *oddities(backend, clean, schema, columns)),
        step=course.step if course else "",
        rare=rare,
    )


def _chosen(backend: Backend, look: Look, source: str, target: str | None) -> tuple[DataParams, targets.Choice, list[targets.Choice]]:
    """The target: the one given, the one that the source's form gives, or the likeliest that can be predicted."""
    data = look.opened.data
    if look.opened.made:
        return data, targets.Choice(data.targets[0], 100.0, "the class that each example has"), []
    facts = [fact_of(look.frame, column) for column in look.columns if column.name != SOURCE_FILE]
    ranked = targets.ranked(facts)
    if target is not None:
        data = data.model_copy(update={"target": target})
        _check_there(look, target)
        with_target(backend, look.raw, look.columns, data, CleanParams())  # tells what is wrong with it
        return (
            data,
            targets.Choice(target, 100.0, "as given"),
            [targets.Choice(target, 100.0, ""), *(c for c in ranked if c.name != target)],
        )
    for at, choice in enumerate(ranked):
        tried = data.model_copy(update={"target": choice.name})
        try:
            with_target(backend, look.raw, look.columns, tried, CleanParams())
        except UserError:
            continue
        return tried, choice, ranked[at:]
    held = ", ".join(f"{fact.name} ({fact.kind}, {fact.distinct:,} values)" for fact in facts[:8])
    raise mistake(source, f"found no column that can be predicted; name one with --target. It holds {held}")


def _check_there(look: Look, target: str) -> None:
    """Raises UserError with the nearest name where the source has no such column."""
    names = [column.name for column in look.columns]
    if target not in names:
        near = get_close_matches(target, names, 1, 0.6) or [name for name in names if name.lower() == target.lower()]
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise UserError(f"--target: no column {target!r}{hint} Columns are {', '.join(names[:50])}")


def _check_inputs(look: Look, schema: Schema, source: str) -> None:
    """Raises UserError where nothing is left to predict the target from."""
    if schema.task == "forecast" or any(column.kind in MEDIA for column in schema.columns):
        return
    facts = [fact_of(look.frame, column) for column in look.columns if column.name not in (schema.target, SOURCE_FILE)]
    if not any(fact.distinct > 1 and not fact.id_like and fact.kind != "ignore" for fact in facts):
        others = ", ".join(f"{fact.name} ({fact.kind}, {fact.distinct:,} values)" for fact in facts) or "no other column"
        raise mistake(source, f"there is nothing to predict {schema.target} from: expected columns that vary, found {others}")


def _duplicates(look: Look, schema: Schema) -> str:
    """Why equal rows are dropped: a text, picture or sound does not come twice by chance."""
    media = [column.name for column in schema.columns if column.kind in ("image", "audio")]
    if media and set(opening.columns_of(look.raw)) - {"path"} != set(opening.columns_of(look.raw)):
        return ""  # their paths differ
    free = [c.name for c in schema.columns if c.name not in schema.targets and c.name in look.frame and is_text(look.frame[c.name], c)]
    return f"the same text of {free[0]} twice is no chance" if free else ""


def _sides(backend: Backend, look: Look, schema: Schema, course: shapes.Course | None) -> sides.Sides:
    """What the columns suggest, before leaks are looked for."""
    named = sides.given(look.frame, look.kinds, schema.target)
    part = sides.shares(look.rows)
    if course:
        return sides.Sides(
            {"strategy": "time", **part}, f"one row is one {course.step}: train comes before validation, and that before test"
        )
    if named:
        return named
    if time := shapes.clock(look.first, look.kinds, schema.target):
        why = f"rows come in the order of {time}: the future is predicted from the past, and test is the latest part"
        return sides.Sides({"strategy": "time", "by": time, **part}, why)
    for name, distinct in _keys(backend, look, schema).items():
        if sides.returning(distinct, look.rows):
            return _grouped(name, f"{distinct:,} values of {name} have {look.rows / distinct:.1f} rows each", part)
    strategy = "stratified" if schema.task in ("binary", "multiclass") else "random"
    none = "rows are in no order of time, and no column names things whose rows return"
    why = "each class in its share on every side" if strategy == "stratified" else none
    return sides.Sides({"strategy": strategy, **part}, why)


def _keys(backend: Backend, look: Look, schema: Schema) -> dict[str, int]:
    """Columns that are called as what names a thing, with the values that they have in all rows."""
    names = [name for name, kind in look.kinds.items() if kind in ("id", "category", "number") and sides.called_key(name)]
    names = [name for name in names if name not in schema.targets]
    table = look.raw if look.opened.whole else look.opened.table
    asked = {name: table[name].nunique() if look.opened.whole else table[name].approx_nunique() for name in names}
    return {name: int(count or 0) for name, count in totals(backend, table, asked).items()}


def _grouped(name: str, why: str, part: Mapping[str, float]) -> sides.Sides:
    return sides.Sides({"strategy": "group", "by": name, **part}, f"{why}: they stay on one side, or the model would meet them again")


def _judged(
    backend: Backend, look: Look, clean: ir.Table, schema: Schema, split: sides.Sides
) -> tuple[sides.Sides, dict[str, tuple[str, str]]]:
    """Set aside what gives the target away, and keep rows of one thing together where the audit finds such a thing."""
    try:
        settled = splitting.settled(clean, schema, split.params)
        sided = splitting.assign(clean, schema, settled, split.seed)
        found = leaks.leaks(backend, sided, schema, settled)
    except UserError as error:  # a trial split that this table does not bear
        look.notes.append(str(error))
        return split, {}
    columns = {name: ("ignore", why) for name, why in found.aside.items() if name != split.keys.get("by")}
    look.notes += found.odd
    if found.entity and split.keys["strategy"] in ("random", "stratified") and look.opened.whole:
        split = _grouped(found.entity, found.entity_told.rstrip("."), sides.shares(look.rows))
    times = [column.name for column in schema.columns if column.kind == "datetime" and column.name != schema.target]
    if times and split.keys["strategy"] in ("group", "random", "stratified"):
        mend = f"split: {{strategy: time, by: {as_key(times[0])}}}"
        look.notes.append(f"rows are not in the order of {times[0]}; to predict later rows from earlier ones: {mend}")
    return split, columns
