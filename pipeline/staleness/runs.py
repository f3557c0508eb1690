"""DVC's run cache: what a stage wrote when it last ran with the same command, inputs and params."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline import paths
from pipeline.errors import UserError
from pipeline.staleness import declared
from pipeline.staleness.declared import Stage
from pipeline.staleness.earlier import is_cached


def remembered(stage: Stage, deps: Mapping[str, str | None], cache: Path) -> Stage | None:
    """The stage as it ran with these inputs, its outputs whole in the cache; None where DVC would have to run it.

    Args:
        deps: digests by path, None where one is not known.
    """
    if not deps or any(known is None for known in deps.values()):
        return None
    try:
        folder = cache / "runs" / (key := _key(stage, deps))[:2] / key
        entries = sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime) if folder.is_dir() else []
        found = declared.read(entries[-1]) if entries else None
    except (TypeError, OSError, UserError):  # a value that JSON has not; a cache that cannot be read: DVC runs the stage
        return None
    outs = {one["path"]: one.get("md5") for one in found["outs"]} if found else {}
    return Stage(stage.name, stage.cmd, deps, outs, stage.params) if outs and all(is_cached(one, cache) for one in outs.values()) else None


def _key(stage: Stage, deps: Mapping[str, str | None]) -> str:
    """What DVC files a run under."""
    made: dict[str, Any] = {
        "cmd": stage.cmd,
        "deps": [{"path": path, "hash": "md5", "md5": deps[path]} for path in sorted(deps)],
        "outs": sorted(stage.outs),
    }
    if stage.params:
        made["params"] = {str(paths.PARAMS): dict(stage.params)}
    return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()
