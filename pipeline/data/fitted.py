"""What preprocessing learns from train, as readable JSON; imports nothing heavy, since the model package carries it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal

PADDING, UNKNOWN = 0, 1  # token ids
GRID = 256  # intervals of the quantile grid from which a network places its bins

Task = Literal["binary", "multiclass", "regression", "forecast"]
Part = Literal[
    "value", "missing", "days", "month", "weekday", "hour",
    "month sine", "month cosine", "weekday sine", "weekday cosine", "hour sine", "hour cosine",
]  # fmt: skip


@dataclass(frozen=True)
class Number:
    """One input number: a part of a column, scaled; `grid` holds GRID + 1 train quantiles of the scaled values.

    In this order: values are cut at `low` and `high`; sign(x) ln(1 + |x| / log) is taken where log is not 0; then either
    (x - center) / scale, with a smooth clip where asked, or the line through the points (knots, ranks).
    """

    column: str
    part: Part
    center: float = 0.0
    scale: float = 1.0
    smooth_clip: bool = False
    grid: tuple[float, ...] = ()
    log: float = 0.0
    low: float | None = None
    high: float | None = None
    knots: tuple[float, ...] = ()
    ranks: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        return self.column if self.part == "value" else f"{self.column} ({self.part})"


@dataclass(frozen=True)
class Category:
    """One input category: code k + 1 is token k (None stands for missing), code 0 is every other value, rare or unseen.

    `keys` are the tokens in lower case where spellings that differ in case alone share a code, else there are none.
    """

    column: str
    tokens: tuple[str | None, ...]
    keys: tuple[str | None, ...] = ()


@dataclass(frozen=True)
class Text:
    """One input text as `length` token ids: `tokenizer` is a definition of the library tokenizers; id 0 is padding, 1 unknown."""

    column: str
    length: int
    tokenizer: dict[str, Any]

    @property
    def vocabulary(self) -> int:
        """Number of token ids."""
        return len(self.tokenizer["model"]["vocab"])


@dataclass(frozen=True)
class Image:
    """One input picture as (height, width, channels) bytes."""

    column: str
    height: int
    width: int
    channels: int


@dataclass(frozen=True)
class Audio:
    """One input sound as a log-mel spectrogram (frames, mels), less train's mean and over its standard deviation."""

    column: str
    sample_rate: int
    seconds: float
    mels: int
    mean: float = 0.0
    std: float = 1.0


@dataclass(frozen=True)
class Sequence:
    """The sequence columns together, one a channel: the last `length` steps, less train's mean and over its deviation."""

    columns: tuple[str, ...]
    length: int
    means: tuple[float, ...]
    stds: tuple[float, ...]


@dataclass(frozen=True)
class Target:
    """Classes in the order of their codes, or the mean and standard deviation of a regression's target.

    Transform log learns (sign(y) ln(1 + |y| / unit) - center) / scale; `largest` is train's largest |y|.
    """

    column: str
    classes: tuple[str, ...] = ()
    mean: float = 0.0
    std: float = 1.0
    transform: Literal["standardize", "log", "none"] = "standardize"
    unit: float = 1.0
    center: float = 0.0
    scale: float = 1.0
    largest: float = 0.0


@dataclass(frozen=True)
class Forecast:
    """Windows over steps in the order of `series` (where there are several) and `time`: look_back steps give horizon steps."""

    time: str
    series: str | None
    look_back: int
    horizon: int
    targets: tuple[Target, ...]


@dataclass(frozen=True)
class Preprocessor:
    """All that was fitted on train; `fitted_on` counts its rows, and those whose quantiles and spreads were taken."""

    task: Task
    target: Target
    numbers: tuple[Number, ...]
    categories: tuple[Category, ...]
    set_aside: dict[str, str]
    texts: tuple[Text, ...] = ()
    images: tuple[Image, ...] = ()
    audios: tuple[Audio, ...] = ()
    sequence: Sequence | None = None
    forecast: Forecast | None = None
    fitted_on: Mapping[str, int] = field(default_factory=dict)
    made: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Columns that a step of the user's own makes or changes, and the source columns that each is made of."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Source columns that a network for tables reads: the numbers and categories."""
        return tuple(dict.fromkeys([n.column for n in self.numbers] + [c.column for c in self.categories]))

    @property
    def all_columns(self) -> tuple[str, ...]:
        """Source columns that become inputs of any kind."""
        media = (column for columns in self.media.values() for column in columns)
        return (*self.columns, *media, *(self.sequence.columns if self.sequence else ()))

    @property
    def dates(self) -> frozenset[str]:
        """Source columns that are dates, by their parts."""
        return frozenset(n.column for n in self.numbers if n.part not in ("value", "missing"))

    @property
    def raw_columns(self) -> tuple[str, ...]:
        """Source columns that a request must have: those that become inputs, and those that inputs are made of."""
        return self.raw_of(self.all_columns)

    def raw_of(self, columns: Iterable[str]) -> tuple[str, ...]:
        """Source columns behind these."""
        return tuple(dict.fromkeys(name for column in columns for name in self.made.get(column, (column,))))

    @property
    def media(self) -> dict[str, tuple[str, ...]]:
        """Source columns of texts, pictures and sounds, by kind."""
        return {
            "text": tuple(state.column for state in self.texts),
            "image": tuple(state.column for state in self.images),
            "audio": tuple(state.column for state in self.audios),
        }

    def to_json(self) -> str:
        return self._json

    @cached_property
    def _json(self) -> str:  # asked for at each training of a sweep
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Preprocessor:
        raw = json.loads(text)
        forecast = raw["forecast"]
        if forecast:
            forecast = Forecast(**{**forecast, "targets": tuple(_state(Target, target) for target in forecast["targets"])})
        many = {"numbers": Number, "categories": Category, "texts": Text, "images": Image, "audios": Audio}
        states = {name: tuple(_state(kind, state) for state in raw[name]) for name, kind in many.items()}
        sequence = raw["sequence"] and _state(Sequence, raw["sequence"])
        made = {name: tuple(columns) for name, columns in raw.get("made", {}).items()}
        return cls(**{**raw, **states, "made": made, "target": _state(Target, raw["target"]), "sequence": sequence, "forecast": forecast})


def _state(kind: Any, raw: Mapping[str, Any]) -> Any:
    """A state from its JSON, in which tuples are lists."""
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()})
