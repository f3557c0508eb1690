"""What was found in one look: fine, worth knowing, or in the way; and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    """One line of `pipeline doctor`: `warn` costs time or a comfort, `fail` keeps a stage from running."""

    state: State
    what: str
    told: str
    mend: str = ""


def ok(what: str, told: str) -> Finding:
    return Finding("ok", what, told)


def warn(what: str, told: str, mend: str = "") -> Finding:
    return Finding("warn", what, told, mend)


def fail(what: str, told: str, mend: str = "") -> Finding:
    return Finding("fail", what, told, mend)
