"""How texts are read: white space, missing tokens, numbers, dates and booleans, each as one expression on one column.

All of it runs for every value of every row, so what is costly stands behind a test that plain values pass: DuckDB
evaluates the branches of CASE and COALESCE on those rows alone that reach them.  With `plain` the functions write neither
test nor branch: the same for values that are PLAIN_WORD or empty, and not to be used on others.
"""

from __future__ import annotations

import re

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir

from pipeline.data.schema import Column

TRUE, FALSE = ("true", "t"), ("false", "f")
CONTROL = "\t\n\r\v\f"
WHITE = CONTROL + "\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
NOTHING = "\u200b\u2060\ufeff"  # zero width; the joiners U+200C and U+200D mean something in Persian and in emoji
MINUS = "\u2212"
ISO_LENGTH = 8  # of 2020-1-1, the shortest date; `epoch` and `now` are shorter
PLAIN_WORD = "[!-~]+( [!-~]+)*"  # one test rather than several: what a request of one row takes is the planning of its query
PLAIN_PROSE = "[!-~]([ -~\\t\\n\\r]*[!-~])?"
OFFSET = r"[0-9][+-][0-9]{2}(:?[0-9]{2})?$"


@ibis.udf.scalar.builtin(name="try_strptime")
def try_strptime(text: str, form: str) -> dt.Timestamp(timezone=None):  # type: ignore[valid-type]
    """DuckDB's date parser: missing where the text does not fit the format."""
    raise NotImplementedError


@ibis.udf.scalar.builtin(name="isfinite")
def is_finite(number: float) -> bool:
    """Whether a number is neither infinite nor NaN; missing for missing."""
    raise NotImplementedError


@ibis.udf.scalar.builtin(name="isfinite")
def is_finite_time(time: dt.Timestamp(timezone=None)) -> bool:  # type: ignore[valid-type]
    """Whether a timestamp is not infinite (the engine reads `infinity` as one)."""
    raise NotImplementedError


@ibis.udf.scalar.builtin(name="strlen")
def bytes_of(text: str) -> int:
    """Length in bytes: that in characters where all are ASCII."""
    raise NotImplementedError


@ibis.udf.scalar.builtin(name="nfc_normalize")
def nfc(text: str) -> str:
    """Unicode's composed form, in which one text has one spelling."""
    raise NotImplementedError


@ibis.udf.scalar.builtin(name="translate")
def translate(text: str, old: str, new: str) -> str:
    """Each character of `old` by that at its place in `new`; those past the end of `new` are left out."""
    raise NotImplementedError


@ibis.udf.scalar.builtin(name="trim")
def trim_all(text: str, characters: str) -> str:
    """`text` without any of `characters` at its ends."""
    raise NotImplementedError


@ibis.udf.scalar.builtin(name="regexp_replace")
def replace_all(text: str, pattern: str, new: str, options: str) -> str:
    """`text` with every match (option g) of an RE2 pattern replaced."""
    raise NotImplementedError


@ibis.udf.scalar.builtin(name="regexp_full_match")
def full_match(text: str, pattern: str) -> bool:
    """Whether the whole text fits an RE2 pattern."""
    raise NotImplementedError


@ibis.udf.scalar.builtin(name="epoch_us")
def epoch_us(time: dt.Timestamp(timezone="UTC")) -> int:  # type: ignore[valid-type]
    """Microseconds since 1970 in UTC."""
    raise NotImplementedError


@ibis.udf.scalar.builtin(name="make_timestamp")
def timestamp_of(microseconds: int) -> dt.Timestamp(timezone=None):  # type: ignore[valid-type]
    """The time that lies so many microseconds after 1970."""
    raise NotImplementedError


def _tidy(text: ir.StringValue) -> ir.StringValue:
    """`word` of any text."""
    return nfc(trim_all(replace_all(translate(text, WHITE + NOTHING, " " * len(WHITE)), " {2,}", " ", "g"), " "))


def word(value: ir.Value, missing: tuple[str, ...] = (), *, plain: bool = False) -> ir.StringValue:
    """A value as text in composed unicode whose white space of any kind is single blanks between visible characters.

    It is missing where it is one of the tokens in `missing`.
    """
    text = value.cast("string")
    if plain:
        return without(text, missing)
    return ibis.ifelse(full_match(text, PLAIN_WORD), without(text, missing), without(_tidy(text), missing))


def prose(value: ir.Value, missing: tuple[str, ...] = ()) -> ir.StringValue:
    """A value as text in composed unicode without white space at its ends; line ends and runs of blanks inside stay."""
    text = value.cast("string")
    inner = WHITE.translate(dict.fromkeys(map(ord, CONTROL)))
    tidy = nfc(trim_all(translate(text, inner + NOTHING, " " * len(inner)), " " + CONTROL))
    return ibis.ifelse(full_match(text, PLAIN_PROSE), without(text, missing), without(tidy, missing))


def without(text: ir.StringValue, missing: tuple[str, ...]) -> ir.StringValue:
    """`text`, missing where it is one of the `missing` tokens."""
    return ibis.ifelse(ibis.array(list(missing)).contains(text), ibis.null("string"), text) if missing else text


def as_number(text: ir.StringValue, column: Column, *, infinite: bool = False, plain: bool = False) -> ir.FloatingValue:
    """A text as float64 by the column's number form; missing where it is none or, but for `infinite`, is not finite."""
    if (column.decimal, column.thousands, column.format) == (".", "", None):
        first = text.try_cast("float64")
        if plain:
            return first if infinite else finite(first)
        other = translate(text, WHITE + MINUS + NOTHING, " " * len(WHITE) + "-").try_cast("float64")  # a number among other white space
        if infinite:
            return ibis.coalesce(first, other)
        return ibis.cases((is_finite(first), first), (first.isnull() & is_finite(other), other))
    tidy = text if plain else _tidy(text).replace(MINUS, "-")
    if column.format:
        tidy = trim_all(tidy.replace(column.format, ""), " ")
    whole = tidy
    if (column.decimal, column.thousands) != (".", ""):
        whole = ibis.ifelse(full_match(tidy, number_pattern(column.decimal, column.thousands)), tidy, ibis.null("string"))
        if column.thousands:
            whole = translate(whole, "\u2019'", "") if column.thousands == "'" else whole.replace(column.thousands, "")
        whole = whole.replace(column.decimal, ".") if column.decimal != "." else whole
    number = whole.try_cast("float64")
    return number if infinite else finite(number)


def finite(value: ir.FloatingValue) -> ir.FloatingValue:
    """A number, missing where it is infinite or NaN."""
    return ibis.ifelse(is_finite(value), value, ibis.null("float64"))


def number_pattern(decimal: str, thousands: str) -> str:
    """RE2 pattern of numbers with a decimal mark and, where there is one, a mark between groups of three digits."""
    dot = re.escape(decimal)
    mark = "['\u2019]" if thousands == "'" else re.escape(thousands)
    groups = f"[0-9]{{1,3}}(?:{mark}[0-9]{{3}})+|" if thousands else ""
    return f"[+-]?(?:(?:{groups}[0-9]+)(?:{dot}[0-9]*)?|{dot}[0-9]+)(?:[eE][+-]?[0-9]+)?"


def as_time(text: ir.StringValue, form: str | None, *, plain: bool = False) -> ir.TimestampValue:
    """A text as timestamp by a strptime format, ISO 8601 (None), or ISO 8601 brought to UTC (`%z`); missing where it is none."""
    tidy = text if plain else _tidy(text)
    if form is not None and form != "%z":
        first = try_strptime(text, form)
        return first if plain else ibis.coalesce(first, try_strptime(tidy, form))
    if form == "%z":
        zoned = ibis.ifelse(tidy.re_search(OFFSET), tidy, ibis.null("string")).try_cast("timestamp('UTC')")
        time = ibis.coalesce(timestamp_of(epoch_us(zoned)), tidy.try_cast("timestamp"))
        return ibis.ifelse((bytes_of(tidy) >= ISO_LENGTH) & is_finite_time(time), time, ibis.null("timestamp"))
    first, other = text.try_cast("timestamp"), tidy.try_cast("timestamp")
    fine = (bytes_of(text) >= ISO_LENGTH) & is_finite_time(first)
    if plain:
        return ibis.ifelse(fine, first, ibis.null("timestamp"))
    return ibis.cases((fine, first), (first.isnull() & (bytes_of(tidy) >= ISO_LENGTH) & is_finite_time(other), other))


def as_boolean(value: ir.Value, missing: tuple[str, ...] = (), *, plain: bool = False) -> ir.BooleanValue:
    """true, t, yes, y and 1, false, f, no, n and 0 in any case; missing for all else and where it is one of the `missing` tokens."""
    yes, no = [*TRUE, "yes", "y", "1"], [*FALSE, "no", "n", "0"]
    tokens = tuple(token for token in missing if token.lower() in yes + no)  # others never read as one
    lower = word(value, tokens, plain=plain).lower()
    return ibis.cases((ibis.array(yes).contains(lower), True), (ibis.array(no).contains(lower), False))
