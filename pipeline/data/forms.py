"""Forms in which a text column may write its values: candidates for each kind, told from a sample of its texts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import product

from pipeline.config import CsvParams

PLAIN = (".", "")
NUMBERS = (PLAIN, (".", ","), (",", ""), (",", "."), (",", " "), (".", " "), (".", "'"), (",", "'"))  # decimal and thousands mark
SIGNS = ("%", "$", "€", "£", "¥")  # beside numbers

DAYS: tuple[str, ...] = (
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%d-%b-%Y",
    "%d %b %Y",
    "%b %d, %Y",
    "%b %d %Y",
)
DAYS += ("%d-%B-%Y", "%d %B %Y", "%B %d, %Y", "%B %d %Y", "%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%d-%b-%y", "%a, %d %b %Y", "%a %b %d %Y")
HOURS = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p", "T%H:%M:%S")
DATES = tuple(day + hour for day, hour in product(DAYS, HOURS))
FIELDS = {"%d": r"\d{1,2}", "%m": r"\d{1,2}", "%Y": r"\d{4}", "%y": r"\d{2}", "%H": r"\d{1,2}", "%I": r"\d{1,2}", "%M": r"\d{1,2}"}
FIELDS |= {"%S": r"\d{1,2}", "%f": r"\d{1,6}", "%p": r"[AaPp][Mm]", "%b": r"[A-Za-z]{3}", "%B": r"[A-Za-z]{3,9}", "%a": r"[A-Za-z]{3}"}
ISO = re.compile(r"\d{4}[-/ .]\d{1,2}[-/ .]\d{1,2}([ T].*)?")
ZONED = re.compile(r"\d{4}-\d{1,2}-\d{1,2}[ T].*\d[+-]\d{2}(:?\d{2})?")
SHAPES = {form: re.compile("".join(FIELDS.get(part, re.escape(part)) for part in re.split(r"(%[A-Za-z])", form))) for form in DATES}


def numbers(csv: CsvParams) -> tuple[tuple[str, str], ...]:
    """The number forms that data.csv leaves open."""
    marks = ("", csv.thousands) if csv.thousands != "auto" else None
    return tuple((d, t) for d, t in NUMBERS if csv.decimal in ("auto", d) and (marks is None or t in marks))


def dates(texts: Sequence[str], *, share: float) -> list[str | None]:
    """The date formats whose shape at least a `share` of the texts has; None is ISO 8601, `%z` the same with offsets."""
    if not texts:
        return []

    def fits(shape: re.Pattern[str]) -> bool:
        return sum(shape.fullmatch(text) is not None for text in texts) >= share * len(texts)

    found: list[str | None] = [form for form, shape in SHAPES.items() if fits(shape)]
    if fits(ISO):
        found.insert(0, "%z" if any(ZONED.fullmatch(text) for text in texts) else None)
    return found


def day_first(form: str | None) -> bool | None:
    """Whether a format of digits alone puts the day before the month; None where the question does not arise."""
    if form is None or not form.startswith(("%d", "%m")) or "%b" in form or "%B" in form:
        return None
    return form.startswith("%d")


def sign(texts: Iterable[str]) -> str | None:
    """The sign that at least nine of ten texts hold beside a number."""
    texts = list(texts)
    return next(
        (s for s in SIGNS if texts and sum(t.startswith(s) or t.endswith(s) or t[1:].startswith(s) for t in texts) >= 0.9 * len(texts)),
        None,
    )
