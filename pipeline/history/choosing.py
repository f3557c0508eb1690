"""Which runs are meant, and in what order: `--where` and `--sort`, for the store and for journals."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.errors import UserError
from pipeline.summary import LOWER_IS_BETTER
from pipeline.tracking.reading import Found, nearest

LOWER = LOWER_IS_BETTER | {"loss", "seconds"}
COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "~": lambda value, part: part in value,
}  # fmt: skip
TERM = re.compile(r"""\s*([^\s=!<>~'"`]+)\s*(<=|>=|!=|=|<|>|~)\s*('[^']*'|"[^"]*"|[^\s'"]+)(?:\s+and\s|\s*$)""", re.IGNORECASE)
Term = tuple[str, str, str]  # name, operator, value


def terms(text: str) -> list[Term]:
    """The comparisons of --where.

    Raises:
        UserError: naming the part that is none.
    """
    found: list[Term] = []
    at = 0
    while at < len(text.rstrip()):
        if not (match := TERM.match(text, at)):
            raise UserError(f"--where: {text[at:].strip()!r}: expected NAME OPERATOR VALUE [and ...], such as test/auc > 0.7")
        name, sign, value = match[1], match[2], match[3].strip("'\"")
        if (_metric(name) or sign[0] in "<>") and (sign == "~" or _as_number(value) is None):
            raise UserError(
                f"--where: {match[0].strip()!r}: expected " + ("no ~ for a metric" if sign == "~" else f"a number, got {value}")
            )
        found.append((name, sign, value))
        at = match.end()
    return found


def condition(terms: Sequence[Term]) -> str:
    """What a store can say of the comparisons, in its language: runs that it leaves out meet them not."""

    def asked(name: str, sign: str, value: str) -> str:
        kind, _, rest = name.partition(".")
        if _metric(name):
            return f"metrics.`{name}` {sign} {value}" if re.fullmatch(r"-?\d+(\.\d+)?", value) else ""
        text = sign in ("=", "~") and "'" not in value and (sign == "~" or _as_number(value) is None)
        return f"{kind}.`{rest}` ILIKE '{value if sign == '=' else f'%{value}%'}'" if text else f"{kind}.`{rest}` LIKE '%'"

    return " and ".join(filter(None, (asked(*term) for term in terms)))


def order(metric: str) -> str:
    """The best first, in the store's language."""
    return f"metrics.`{metric.replace('`', '')}` {'ASC' if lower_is_better(metric) else 'DESC'}"


def meets(run: Found, terms: Sequence[Term]) -> bool:
    """Whether all comparisons hold for a run; none does for what the run lacks."""
    return all(_holds(run, *term) for term in terms)


def best_first(runs: Sequence[Found], sort: str) -> list[Found]:
    """The best in a metric first, those without it last."""
    sign = 1 if lower_is_better(sort) else -1
    return sorted(runs, key=lambda run: (sort not in run.metrics, sign * run.metrics.get(sort, 0)))


def require_names(names: Sequence[tuple[str, str]], runs: Sequence[Found]) -> None:
    """Raises UserError for names (option, name) that no run has, with the nearest that some run has."""
    known = sorted({name for run in runs for name in _names(run)})
    if wrong := [
        f"{option}: none of the newest {len(runs)} runs has {name}; {nearest(name, known)}"
        for option, name in names
        if known and name not in known
    ]:
        raise UserError(*wrong)


def lower_is_better(metric: str) -> bool:
    """Whether less of a metric is better, by what its name means."""
    return not LOWER.isdisjoint(metric.split("/"))


def _metric(name: str) -> bool:
    return not name.startswith(("params.", "tags."))


def _names(run: Found) -> list[str]:
    return [*run.metrics, *(f"params.{name}" for name in run.params), *(f"tags.{name}" for name in run.tags)]


def _as_number(text: str) -> float | None:
    try:
        return value if math.isfinite(value := float(text)) else None
    except ValueError:
        return None


def _holds(run: Found, name: str, sign: str, value: str) -> bool:
    kind, _, rest = name.partition(".")
    found = run.metrics.get(name) if _metric(name) else (run.params if kind == "params" else run.tags).get(rest)
    if found is None:
        return False
    ours, theirs = _as_number(str(found)), _as_number(value)
    if sign == "~" or None in (ours, theirs):
        return sign in ("~", "=", "!=") and COMPARE[sign](str(found).lower(), value.lower())
    return COMPARE[sign](ours, theirs)
