"""How the pages of a sweep spell numbers, values and texts."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, TypeGuard

from pipeline.config import Scalar


class Absent(Enum):
    """What stands for the value of a key that a trial does not have."""

    ABSENT = "not used"


Level = Scalar | Absent | None


def shown(value: Any) -> str:
    """A value as params.yaml spells it, numbers with the digits that a reader needs: 0.0003142, 1e-9, 1,000,000."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Absent):
        return value.value
    if isinstance(value, int):
        return f"{value:,}"
    if not isinstance(value, float):
        return str(value)
    if 1e4 <= abs(value) < 1e9:
        return f"{value:,.0f}"
    return f"{value:,.4g}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")


def told(value: Any) -> str:
    """A value, or those of a list or a mapping one after the other."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {told(inner)}" for name, inner in value.items())
    return ", ".join(map(told, value)) if isinstance(value, list | tuple) else shown(value)


def is_number(level: object) -> TypeGuard[float]:
    """Whether it is a number; a truth value is none."""
    return isinstance(level, int | float) and not isinstance(level, bool)


def percent(share: float) -> str:
    """A share of 1: 12%, 4.4%, 0.02%."""
    if share == 0 or share >= 0.1:
        return f"{100 * share:,.0f}%"
    return f"{100 * share:.1f}%" if share >= 0.0005 else f"{100 * share:.1g}%"


def many(count: int, what: str) -> str:
    """A count of things: 1 trial, 2 trials."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def listed(numbers: Sequence[int]) -> str:
    """Numbers of trials, the first ten of many."""
    more = f" and {len(numbers) - 10:,} more" if len(numbers) > 10 else ""
    return f"trial{'' if len(numbers) == 1 else 's'} {', '.join(map(str, numbers[:10]))}{more}"


def duration(seconds: float) -> str:
    """Seconds, and minutes or hours beside many."""
    beside = f" ({seconds / 3600:.1f} hours)" if seconds >= 7200 else f" ({seconds / 60:.1f} minutes)" if seconds >= 120 else ""
    return (f"{seconds:,.0f} s" if seconds >= 10 else f"{seconds:.2g} s") + beside


def safe(text: str) -> str:
    """Text as plotly's markup."""
    return html.escape(text, quote=False)


def short(text: str, most: int = 15) -> str:
    """Text of at most so many characters."""
    return text if len(text) <= most else text[: most - 1] + "…"
