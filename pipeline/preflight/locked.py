"""What dvc.lock says of the last run: the params that each stage ran with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.config import Params, Section

LOCK = Path("dvc.lock")
KINDS: dict[str, type[Section]] = {
    field.alias or name: field.annotation
    for name, field in Params.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
}


def ran_with(stage: str, params: Params) -> bool:
    """Whether the stage last ran with these params (of the sections that it reads); False where it never did."""
    return bool(_lines(stage)) and all(_read(name, value) == params.section(name) for name, value in sections(stage).items())


def last(stage: str, section: str) -> Any:
    """A section that a stage last ran with; None where it never did, or with params of another time."""
    found = sections(stage)
    return _read(section, found[section]) if section in found else None


def sections(stage: str) -> dict[str, Any]:
    """The sections of params.yaml that a stage ran with, as they were; nothing where it reads none or never ran."""
    kept = _block(_lines(stage), "    params:", 4)  # the whole file would take half a second
    try:
        found = YAML(typ="safe", pure=True).load("\n".join(kept)) or {}
        return dict(found["params"]["params.yaml"])
    except (YAMLError, KeyError, TypeError, ValueError):
        return {}


def _lines(stage: str) -> list[str]:
    """What the lock says of a stage, line by line."""
    return _block(LOCK.read_text(encoding="utf-8").splitlines(), f"  {stage}:", 2) if LOCK.is_file() else []


def _block(lines: list[str], head: str, depth: int) -> list[str]:
    """The line `head` and what is indented below it (lists of YAML stand as deep as their key)."""
    if head not in lines:
        return []
    start = lines.index(head)
    deeper = (" " * (depth + 1), " " * depth + "- ")
    end = next((at for at in range(start + 1, len(lines)) if not lines[at].startswith(deeper)), len(lines))
    return lines[start:end]


def _read(name: str, value: Any) -> Any:
    """A stored section as its type; None where it does not fit it any more."""
    kind = KINDS.get(name)
    if kind is None:
        return value
    try:
        return kind.model_validate_json(json.dumps(value or {}, default=str))
    except ValidationError:
        return None
