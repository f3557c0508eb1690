"""Which encoder reads which input: the data's structure decides, or model.family by name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from pipeline.config import ModelParams
from pipeline.data.fitted import Preprocessor
from pipeline.errors import UserError

Kind = Literal["table", "text", "image", "audio", "sequence", "series"]
Family = Literal["mlp", "cnn", "rnn", "transformer"]

USUAL: dict[Kind, Family] = {
    "table": "mlp",
    "text": "transformer",
    "image": "cnn",
    "audio": "cnn",
    "sequence": "rnn",
    "series": "mlp",  # linear where model.layers does not say otherwise: as good as any on ETTh1, at a fraction of the cost
}
TAKES: dict[Family, tuple[Kind, ...]] = {
    "mlp": ("table", "text", "image", "audio", "sequence", "series"),
    "cnn": ("text", "image", "audio", "sequence", "series"),  # columns of a table have no neighbours
    "rnn": ("text", "audio", "sequence", "series"),  # nor have they an order; a picture's rows are not steps
    "transformer": ("table", "text", "image", "audio", "sequence", "series"),
}
CALLED = {"table": "number and category", "series": "forecast"}


@dataclass(frozen=True)
class Group:
    """Inputs that one encoder reads: `name` is the input's (table for number and category), `columns` the source's.

    `own` is the user's file that reads them in place of the family.
    """

    name: str
    kind: Kind
    columns: tuple[str, ...]
    family: Family
    own: str | None = None

    @property
    def read_by(self) -> str:
        """The encoder in words: the family, or the user's file."""
        return self.own or self.family


def groups(fitted: Preprocessor, model: ModelParams) -> tuple[Group, ...]:
    """The data's groups of inputs, each with its family: the one chosen by name where it can read them, else the usual one.

    Raises:
        UserError: the chosen family can read none of them, or an encoder is for inputs that the data do not have.
    """
    found = _structure(fitted)
    kinds = {kind for _, kind, _ in found}
    if lacking := [kind for kind in model.encoder if kind not in kinds]:
        raise UserError(f"model.encoder.{lacking[0]}: the data have no {lacking[0]} inputs; theirs are {', '.join(sorted(kinds))}")
    return tuple(replace(group, own=model.encoder.get(group.kind)) for group in _by_family(found, model))


def _by_family(found: list[tuple[str, Kind, tuple[str, ...]]], model: ModelParams) -> tuple[Group, ...]:
    chosen = model.family
    if chosen == "auto":
        return tuple(Group(name, kind, columns, USUAL[kind]) for name, kind, columns in found)
    if not any(kind in TAKES[chosen] or kind in model.encoder for _, kind, _ in found):
        kinds = "; ".join(f"{CALLED.get(kind, kind)} columns {', '.join(columns[:5])}" for _, kind, columns in found)
        others = [family for family, takes in TAKES.items() if any(kind in takes for _, kind, _ in found)]
        raise UserError(f"model.family: {chosen} cannot read what the data hold ({kinds}); set it to auto or to {' or '.join(others)}")
    return tuple(Group(name, kind, columns, chosen if kind in TAKES[chosen] else USUAL[kind]) for name, kind, columns in found)


def _structure(fitted: Preprocessor) -> list[tuple[str, Kind, tuple[str, ...]]]:
    if fitted.forecast:
        return [("series", "series", fitted.columns)]
    found: list[tuple[str, Kind, tuple[str, ...]]] = [("table", "table", fitted.columns)] if fitted.columns else []
    found += [(f"text_{at}", "text", (text.column,)) for at, text in enumerate(fitted.texts)]
    found += [(f"image_{at}", "image", (image.column,)) for at, image in enumerate(fitted.images)]
    found += [(f"audio_{at}", "audio", (audio.column,)) for at, audio in enumerate(fitted.audios)]
    return found + ([("sequence", "sequence", fitted.sequence.columns)] if fitted.sequence else [])
