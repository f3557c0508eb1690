"""What `pipeline check` finds: a place in params.yaml, what is wrong there and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pipeline.params_file import Document, Keys

Level = Literal["error", "warning"]


@dataclass(frozen=True, order=True)
class Finding:
    """One problem; with an error no stage is begun."""

    line: int
    column: int
    key: str
    text: str
    level: Level = "error"
    file: str = "params.yaml"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.text}"


def placed(document: Document, text: str, level: Level = "error", keys: Keys | None = None) -> Finding:
    """A message at the place of `keys`, else of the key that it begins with (`split.by: no column 'persn'`), or of the nearest above."""
    where = document.key_of(text) if keys is None else keys
    line, column = document.place(where)
    key = ".".join(str(part) for part in where if not isinstance(part, int))
    return Finding(line, column, key, text, level, str(document.path))
