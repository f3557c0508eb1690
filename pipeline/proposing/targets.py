"""Which column may be the one to predict, by its name, its place and what it holds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

SURE = frozenset(("target", "label", "labels", "y", "outcome", "response", "ground_truth"))  # whole names
EVENTS = frozenset((
    "churn", "churned", "attrition", "exited", "survived", "survival", "died", "death", "default", "defaulted", "fraud", "spam", "clicked",
    "converted", "conversion", "purchased", "bought", "readmitted", "diagnosis", "approved", "cancelled", "canceled", "toxic", "sentiment",
))  # fmt: skip
AMOUNTS = frozenset(("price", "value", "sales", "revenue", "demand", "salary", "cost", "rent", "consumption", "yield"))  # last words
WHOLE = frozenset(("cnt", "count", "class", "category", "species", "quality", "rating", "grade", "score", "result", "income", "status"))
ASKS = frozenset(("is", "has", "will", "any"))  # first words of a yes or no
MOST_CLASSES = 1000
STRONG = 80  # points of a column whose name leaves little doubt
NAMED = 40  # points without which only its place speaks for a column
CLOSE = 10  # points by which the first must lead the second


@dataclass(frozen=True)
class Fact:
    """What of a column bears on whether it can be predicted: its kind and how many values differ, of so many."""

    name: str
    kind: str
    distinct: int
    values: int
    id_like: bool = False


@dataclass(frozen=True)
class Choice:
    """A column, how much speaks for it, and why in words."""

    name: str
    points: float
    why: str


def ranked(facts: Sequence[Fact]) -> list[Choice]:
    """The columns that can be predicted, what is likeliest first.

    Dates, texts, pictures, ids, constants and categories of too many values are none.
    """
    found = [choice for at, fact in enumerate(facts) if _possible(fact) and (choice := _choice(fact, at, len(facts)))]
    return sorted(found, key=lambda choice: -choice.points)


def unsure(choices: Sequence[Choice]) -> bool:
    """Whether another column is nearly as likely as the first, or only its place speaks for it."""
    if len(choices) < 2:
        return False
    first, second = (choice.points for choice in choices[:2])
    return first < NAMED or second >= STRONG or first - second < CLOSE


def _possible(fact: Fact) -> bool:
    if fact.kind not in ("number", "category", "boolean") or fact.distinct < 2 or fact.id_like:
        return False
    return fact.kind != "category" or fact.distinct <= min(MOST_CLASSES, fact.values // 2)


def _choice(fact: Fact, at: int, of: int) -> Choice:
    points, whys = 0.0, []
    by_name = _by_name(fact)
    if by_name:
        points += by_name
        whys.append("by its name")
    if at == of - 1 and of > 1:
        points += 30
        whys.append("the last column")
    elif at == 0:
        points += 20 if of <= 3 else 5
        whys.append("the first column")
    points += 9 * at / of + (5 if fact.distinct == 2 else 0)
    return Choice(fact.name, points, ", ".join(whys) or ("two values" if fact.distinct == 2 else f"{fact.distinct:,} values"))


def _by_name(fact: Fact) -> float:
    whole = fact.name.strip().lower()
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", fact.name)]
    if whole in SURE:
        return 100
    if not words:
        return 0
    if {words[0], words[-1]} & (SURE - {"y"}):
        return 80
    if whole in EVENTS or words[-1] in EVENTS:
        return 60
    if whole in WHOLE or words[0] in EVENTS:
        return 50
    if words[-1] in AMOUNTS and fact.kind == "number":
        return 45
    return 40 if words[0] in ASKS and fact.distinct == 2 else 0
