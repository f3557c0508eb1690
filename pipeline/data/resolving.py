"""One form for each text column, from how many of its values fit each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.config import DataParams
from pipeline.data import forms
from pipeline.data.look import EXACT_DIGITS, SAMPLE, Look
from pipeline.data.schema import Column


@dataclass(frozen=True)
class Count:
    """A candidate form of a column: values that read so, and values that do not."""

    column: Column
    good: int
    bad: int

    @property
    def values(self) -> int:
        return self.good + self.bad


def tolerance(values: int) -> int:
    """How many of so many values may fail to read as the kind of all others: 1%, one of 20 to 100, none of fewer."""
    return 0 if values < 20 else max(1, values // 100)


def resolve(counts: Mapping[str, Sequence[Count]], raws: Mapping[str, Column], seen: Look, data: DataParams) -> dict[str, Column]:
    """One form for each text column; where several fit alike, the forms of the table's other columns decide."""
    tied = {name: _best(found, seen, forced=name in data.columns) for name, found in counts.items()}
    decimals = {
        c.decimal for name, ties in tied.items() for c in _settled(ties, lambda c: c.decimal) if c.kind == "number" and _marked(c, seen)
    }
    orders = {forms.day_first(c.format) for ties in tied.values() for c in _settled(ties, lambda c: c.format) if c.kind == "datetime"} - {
        None
    }
    found = {}
    for name, ties in tied.items():
        if name in data.columns and not ties:
            found[name] = replace(raws[name], kind=data.columns[name], reason="set in data.columns")
        elif not ties:
            found[name] = _other(raws[name], counts[name], seen)
        else:
            found[name] = _chosen(ties, seen, decimals, orders, forced=name in data.columns)
    return found


def _best(found: Sequence[Count], seen: Look, *, forced: bool) -> list[Count]:
    """The forms that fit best, in the order of preference; none where too many values do not fit any."""
    if forced:
        most = max((count.good for count in found), default=0)
        return [count for count in found if count.good == most]
    fitting = [count for count in found if count.good and count.bad <= tolerance(count.values) and not _code(count, seen)]
    if not fitting:
        return []
    least = min(count.bad for count in fitting)
    kind = next(count.column.kind for count in fitting if count.bad == least)
    return [count for count in fitting if count.bad == least and count.column.kind == kind]


def _code(count: Count, seen: Look) -> str | None:
    """Why numbers are names rather than amounts: zip codes, account numbers."""
    name, values = count.column.name, seen.of(count.column.name, "values")
    if count.column.kind != "number" or count.column.format or not values:
        return None
    zeros, equal = seen.of(name, "zeros"), seen.of(name, "shortest") == seen.of(name, "longest") >= 3
    if zeros and (equal or (2 * zeros >= values and seen.of(name, "longest") >= 3)):
        return f"digits with leading zeros ({zeros} of {values}): codes, not amounts"
    if 2 * seen.of(name, "long") >= values:
        return f"whole numbers of {EXACT_DIGITS} digits and more: codes, not amounts"
    return "digits with underscores: codes, not amounts" if seen.of(name, "under") else None


def _settled(ties: Sequence[Count], what: Callable[[Column], str | None]) -> list[Column]:
    return [ties[0].column] if ties and len({what(count.column) for count in ties}) == 1 else []


def _marked(column: Column, seen: Look) -> bool:
    """Whether the column's form shows: whole numbers without marks fit every form."""
    return (column.decimal, column.thousands) != forms.PLAIN or bool(seen.of(column.name, "dots"))


def _chosen(ties: Sequence[Count], seen: Look, decimals: set[str], orders: set[bool | None], *, forced: bool) -> Column:
    first = ties[0]
    notes: tuple[str, ...] = ()
    name, kind = first.column.name, first.column.kind
    if kind == "number" and len({c.column.decimal for c in ties}) > 1:
        same = [c for c in ties if len(decimals) == 1 and c.column.decimal in decimals]
        first = same[0] if same else first
        why = "as in the other columns" if same else "a guess: set data.csv.decimal or data.csv.thousands if it is wrong"
        notes = (f"numbers such as {_example(name, seen)} read in two ways; decimal mark {first.column.decimal!r} taken, {why}",)
    reads = f"{first.good} of {first.values}" if first.bad else f"all {first.values}"
    orders_here = {forms.day_first(c.column.format) for c in ties} - {None}
    if kind == "datetime" and len(orders_here) > 1:
        same = [c for c in ties if len(orders) == 1 and forms.day_first(c.column.format) in orders]
        both = " and ".join(str(c.column.format) for c in ties)
        if same:
            first, notes = same[0], (f"{both} both fit; {same[0].column.format} taken, as in the other columns",)
        elif not forced:
            return replace(
                first.column,
                kind="category",
                format=None,
                unreadable=0,
                reason=f"dates, but {both} both fit: set data.columns.{name}: datetime to take the first",
                notes=(f"dates such as {_example(name, seen)} read in two ways ({both}) and stay a category",),
            )
        else:
            notes = (f"{both} both fit; the first is taken",)
    column = first.column
    form = {"datetime": column.format, "number": _form(column)}.get(kind)
    reason = "set in data.columns" if forced else f"{reads} values read as {form or kind}"
    if kind == "number" and column.format:
        notes += (f"the sign {column.format} beside the numbers is left out (12{column.format} is 12)",)
    if column.format == "%z":
        notes += ("times with offsets are brought to UTC",)
    return replace(column, reason=reason, notes=notes)


def _form(column: Column) -> str | None:
    if (column.decimal, column.thousands) == forms.PLAIN:
        return None
    return f"number (decimal mark {column.decimal!r}" + (f", thousands {column.thousands!r})" if column.thousands else ")")


def _example(name: str, seen: Look) -> str:
    texts = [text for text in seen.texts.get(name, ()) if any(mark in text for mark in ".,/-")]
    return repr(min(texts)) if texts else "these"


def _other(column: Column, found: Sequence[Count], seen: Look) -> Column:
    """A text column that is neither number nor boolean nor datetime."""
    if not seen.of(column.name, "values") and not any(count.values for count in found):
        return replace(column, kind="ignore", reason="every value is missing")
    numbers = next((count for count in found if count.column.kind == "number"), None)
    if numbers and (code := _code(numbers, seen)) and numbers.bad <= tolerance(numbers.values):
        return replace(column, kind="category", reason=code)
    good, values = (numbers.good, numbers.values) if numbers else (seen.of(column.name, "number"), seen.of(column.name, "values"))
    where = "" if numbers or seen.rows < SAMPLE else f" of the first {seen.rows:,} rows"
    return replace(column, kind="category", reason="text" + (f", {good} of {values} values{where} read as numbers" if good else ""))
