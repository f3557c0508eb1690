"""What preprocessing learns from train, as readable JSON; imports nothing heavy, since the model package carries it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

GRID = 256  # intervals of the quantile grid from which a network places its bins

Task = Literal["binary", "multiclass", "regression"]
Part = Literal["value", "missing", "days", "month", "weekday", "hour"]


@dataclass(frozen=True)
class Number:
    """One input number: a part of a column, scaled; `grid` holds GRID + 1 train quantiles of the scaled values."""

    column: str
    part: Part
    center: float = 0.0
    scale: float = 1.0
    smooth_clip: bool = False
    grid: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        return self.column if self.part == "value" else f"{self.column} ({self.part})"


@dataclass(frozen=True)
class Category:
    """One input category: code k + 1 is token k (None stands for missing), code 0 is every other value, rare or unseen."""

    column: str
    tokens: tuple[str | None, ...]


@dataclass(frozen=True)
class Target:
    """Classes in the order of their codes, or the mean and standard deviation of a regression's target."""

    column: str
    classes: tuple[str, ...] = ()
    mean: float = 0.0
    std: float = 1.0


@dataclass(frozen=True)
class Preprocessor:
    """All that was fitted on train."""

    task: Task
    target: Target
    numbers: tuple[Number, ...]
    categories: tuple[Category, ...]
    set_aside: dict[str, str]

    @property
    def columns(self) -> tuple[str, ...]:
        """Source columns that the model reads."""
        return tuple(dict.fromkeys([n.column for n in self.numbers] + [c.column for c in self.categories]))

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Preprocessor:
        raw = json.loads(text)
        target = Target(**{**raw["target"], "classes": tuple(raw["target"]["classes"])})
        numbers = tuple(Number(**{**number, "grid": tuple(number["grid"])}) for number in raw["numbers"])
        categories = tuple(Category(c["column"], tuple(c["tokens"])) for c in raw["categories"])
        return cls(raw["task"], target, numbers, categories, raw["set_aside"])
