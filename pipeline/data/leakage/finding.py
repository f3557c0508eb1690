"""What the audit hands on."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing to look at: error surely flatters the numbers, warning may, note informs.

    `remedy` is what to write into params.yaml, `details` holds numbers and examples.
    """

    kind: str
    severity: Severity
    columns: tuple[str, ...]
    title: str
    remedy: str
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Audit:
    """All findings, the gravest first; the columns that give the target away; how many rows were looked at."""

    findings: tuple[Finding, ...]
    given_away: dict[str, float]
    looked_at: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
