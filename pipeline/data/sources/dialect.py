"""How a text table is written: delimiter, quote, header, and lines above it, told from its first lines."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pipeline.config import DataParams

USUAL = (",", ";", "\t", "|")
RARE = (":", " ")  # also stand inside values: taken only where every line agrees
MOST = 0.98  # share of regular rows that shows that quotes are text
TOP = 50  # lines among which the header is looked for
STAND_IN = "\ue000"  # for a delimiter of several characters while Python's csv reads
NUMBER = re.compile(r"\s*[-+(]?[$€£]?\s*(\d[\d.,' \u00a0]*|[.,]\d+)([eE][-+]?\d+)?\s*%?\)?\s*")
TIME = re.compile(r"\s*(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4})([ T]\d{1,2}:\d{2}.*)?\s*")

csv.field_size_limit(1 << 30)


@dataclass(frozen=True)
class Dialect:
    """How to read a text table; `skip` lines stand above the last of `header` header lines."""

    delimiter: str
    quote: str
    skip: int
    header: int
    comment: str
    names: tuple[str, ...]


def rows_of(lines: Iterable[str], delimiter: str, quote: str) -> Iterator[list[str]]:
    """The rows of these lines by Python's csv; raises csv.Error where a quote is not closed or not followed by a delimiter."""
    single = delimiter if len(delimiter) == 1 else STAND_IN
    if single is not delimiter:
        lines = (line.replace(delimiter, STAND_IN) for line in lines)
    if quote:
        reader = csv.reader(lines, delimiter=single, quotechar=quote, doublequote=True, strict=True)
    else:
        reader = csv.reader(lines, delimiter=single, quoting=csv.QUOTE_NONE, strict=True)
    if single is delimiter:
        yield from reader
    else:
        for row in reader:
            yield [value.replace(STAND_IN, delimiter) for value in row]


def encloses(row: Sequence[str | None]) -> bool:
    """Whether a value stands between double quotes, as it would where they are no text."""
    return any(value and len(value) > 1 and value[0] == value[-1] == '"' for value in row)


@dataclass(frozen=True)
class _Try:
    delimiter: str
    quote: str
    rows: tuple[tuple[int, tuple[str, ...]], ...]  # with the number of lines before each
    width: int
    share: float
    sound: bool
    target_at: int | None


def tell(lines: Sequence[str], whole: bool, data: DataParams, tab: bool) -> Dialect:
    """The dialect of a file that begins with `lines`.

    Args:
        whole: whether the lines are the whole file.
        tab: whether a tab is to be tried first.
    """
    params = data.csv
    comment, above = _comments(lines, params.comment)
    start = params.skip if params.skip != "auto" else above
    delimiters = (*sorted(USUAL, key=lambda d: (d == "\t") != tab), *RARE) if params.delimiter == "auto" else (params.delimiter,)
    quotes = ('"', "'", "") if params.quote == "auto" else (params.quote,)
    pairs = [(d, q) for d in delimiters for q in quotes if q != "'" or params.quote != "auto" or _single(lines[start:], d)]
    tries = [_tried(lines, start, whole, d, q, data.targets) for d, q in pairs]
    if params.skip == "auto" and above and all(t.target_at is None for t in tries) and comment == "#":
        bare = [lines[above - 1].lstrip("# "), *lines[above:]]  # the last comment may be the header, as in #id,name
        again = [_tried(bare, 0, whole, d, q, data.targets) for d, q in pairs]
        hits = [t for t in again if t.target_at == 0 and t.width > 1]
        if hits:
            best = max(hits, key=_score)
            names = _names([best.rows[0][1]])
            return Dialect(best.delimiter, best.quote, above - 1, 1, comment, names)
    best = max(tries, key=_score)
    at, header = _header(best, data)
    rows = best.rows
    first = at + header - 1 if header else at
    skip = rows[first][0] if first < len(rows) else start
    width = max(best.width, 1) if not header else 0
    names = _names([row for _, row in rows[at : at + header]]) if header else tuple(f"column{k}" for k in range(width))
    return Dialect(best.delimiter, best.quote, skip, header, comment if start else "", names)


def _score(t: _Try) -> tuple[object, ...]:
    rare = t.delimiter in RARE
    several = t.width > 1 and not (rare and (t.share < 1 or len(t.rows) < 2))
    return (
        t.sound and t.target_at is not None and several,
        t.sound and t.target_at is not None,
        several,
        t.sound,
        not rare,
        round(t.share, 2),
        bool(t.rows) and len(t.rows[0][1]) == t.width,  # of a;b over 1,5;2,5 both marks cut every row alike, but one the header
        t.width if t.quote != "'" else t.width - 0.5,
        _preferred(t),
    )


def _preferred(t: _Try) -> int:
    """Double quotes unless single ones, and no double ones, stand around values."""
    if t.quote == "'":
        return 0
    return 2 if t.quote == '"' else 1


def _tried(lines: Sequence[str], start: int, whole: bool, delimiter: str, quote: str, targets: tuple[str, ...]) -> _Try:
    kept = list(lines[start:])
    rows: list[tuple[int, tuple[str, ...]]] = []
    sound = True
    before = 0
    taken = 0

    def counted() -> Iterator[str]:
        nonlocal taken
        for line in kept:
            taken += 1
            yield line

    try:
        for row in rows_of(counted(), delimiter, quote):
            if any(value.strip() for value in row) or len(row) > 1:
                rows.append((start + before, tuple(row)))
            before = taken
    except csv.Error as error:
        sound = "unexpected end" in str(error) and not whole and bool(rows)
    if not rows:
        return _Try(delimiter, quote, ((start, tuple(kept[:1])),) if kept else (), 1, 0.0, False, None)
    widths = Counter(len(row) for _, row in rows)
    width = max(widths, key=lambda w: (widths[w], w == len(rows[0][1])))
    hit = None
    for k, (_, cells) in enumerate(rows[:TOP]):
        if len(cells) == width and set(targets) <= {v.lstrip("\ufeff").strip() for v in cells}:
            hit = k
        if hit is not None or not (len(cells) < width or sum(map(bool, cells)) < 2):
            break  # only titles stand above a header
    share = widths[width] / len(rows)
    if not quote and sum(encloses(row) for _, row in rows) > (1 - MOST) * len(rows):
        sound = False
    sound = sound and (bool(quote) or share > MOST)
    return _Try(delimiter, quote, tuple(rows), width, share, sound, hit)


def _single(lines: Sequence[str], delimiter: str) -> bool:
    """Whether single quotes stand around values and double ones do not."""
    text = "".join(lines)
    d = re.escape(delimiter)
    if re.search(rf'(?:^|{d})"', text, re.MULTILINE):
        return False
    return len(re.findall(rf"(?:^|{d})'[^'\n]*'(?=$|\r|{d})", text, re.MULTILINE)) > 1


def _comments(lines: Sequence[str], wanted: str) -> tuple[str, int]:
    """The mark of comments and how many lines at the top are comments or blank."""
    mark = wanted if wanted != "auto" else next((m for m in ("#", "%", "//") if lines and lines[0].lstrip("\ufeff").startswith(m)), "")
    for above, line in enumerate(lines):
        if line.strip() and not (mark and line.lstrip("\ufeff").startswith(mark)):
            return mark, above
    return "", 0


def _header(t: _Try, data: DataParams) -> tuple[int, int]:
    """The row at which the header (or, without one, the data) begins, and how many rows it has."""
    rows = [row for _, row in t.rows]
    params = data.csv
    at = 0
    if params.skip == "auto":
        if t.target_at is not None:
            at = t.target_at
        else:
            while at < min(len(rows) - 1, TOP) and _is_title(rows[at], t.width) and len(rows[at + 1]) <= t.width:
                at += 1
            at = at if len(rows[at]) == t.width else 0
    if params.header != "auto":
        return at, min(params.header, len(rows) - at)
    body = [row for row in rows[at:] if len(row) == len(rows[at])]
    if _two(body, data):
        return at, 2
    return at, int(t.target_at is not None or not _is_data(body, data))


def _is_title(row: tuple[str, ...], width: int) -> bool:
    there = [at for at, value in enumerate(row) if value.strip()]
    return width > 1 and (not there or (there == [0] and (len(row) < width or width > 2)))


def _like(value: str) -> str:
    return "number" if NUMBER.fullmatch(value) else "time" if TIME.fullmatch(value) else "text"


def _is_data(body: Sequence[tuple[str, ...]], data: DataParams) -> bool:
    """Whether the first row looks as the rows below it do, so that it is no header."""
    if len(body) < 2:
        return False
    first, below = body[0], body[1:]
    if all(re.fullmatch(r"column\d+", target) for target in data.targets) and not any(re.fullmatch(r"column\d+", v.strip()) for v in first):
        return True
    numbers = [v for v in first if _like(v) == "number"]
    counted = [int(v) for v in numbers if v.strip().isdigit()]
    if (
        len(counted) == len(numbers) > 1
        and counted == list(range(counted[0], counted[0] + len(counted)))
        and (counted[0] == 0 or 1900 <= counted[0] <= 2100)
    ):
        return False  # names such as 0, 1, 2 or 2019, 2020
    evidence = False
    for value, *others in zip(first, *below, strict=True):
        there = [other for other in others if other.strip() and other.strip() not in data.missing]
        if not value.strip() or not there:
            continue
        kind = _like(value)
        same = sum(_like(other) == kind for other in there) / len(there)
        if kind == "text" and same < 0.2:
            return False
        if kind != "text" and same > 0.8:
            evidence = True
        if kind == "text" and len(there) > 2 and sum(other == value for other in there) > 1:
            evidence = True
    return evidence


def _two(body: Sequence[tuple[str, ...]], data: DataParams) -> bool:
    """Whether the second row is certainly a header too: text over numbers in every column of numbers, as the first row is."""
    if len(body) < 5:
        return False
    first, second, below = body[0], body[1], body[2:]
    plain = {v.strip() for v in first}
    if set(data.targets) <= plain and not set(data.targets) <= set(_names([first, second])):
        return False
    seen = 0
    for upper, lower, *others in zip(first, second, *below, strict=True):
        there = [other for other in others if other.strip() and other.strip() not in data.missing]
        if len(there) < 3 or not all(_like(other) == "number" for other in there):
            continue
        if _like(upper) == "number" or _like(lower) != "text" or (lower.strip() and lower.strip() in data.missing):
            return False
        seen += bool(lower.strip())
    return seen > 1


def _names(rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    width = len(rows[-1]) if rows else 0
    joined = [" ".join(part for row in rows if at < len(row) and (part := row[at].lstrip("\ufeff").strip())) for at in range(width)]
    return tuple(name or f"column{at}" for at, name in enumerate(joined))
