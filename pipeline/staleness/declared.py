"""The stages as dvc.yaml declares them, and as dvc.lock has them from when they last ran."""

from __future__ import annotations

import configparser
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from pipeline import paths
from pipeline.errors import UserError

FLOW, LOCK = Path("dvc.yaml"), Path("dvc.lock")
NAMED = re.compile(r"\$\{\s*([\w.-]+)\s*\}")


@dataclass(frozen=True)
class Stage:
    """What a stage runs, reads and writes; where it comes from dvc.lock, digests and values stand beside the names."""

    name: str
    cmd: str
    deps: Mapping[str, str | None]
    outs: Mapping[str, str | None]
    params: Mapping[str, Any] = field(default_factory=dict)
    """Sections of params.yaml, with their values."""


def outside(command: str) -> str:
    """What to say of a command that needs the stages in a folder that has none."""
    above = next((str(folder) for folder in Path.cwd().parents if (folder / FLOW).exists()), None)
    mend = f"cd {above}" if above else "clone the repository and run there; `pipeline init` in the clone takes your data from any path"
    return f"{command}: no {FLOW} in {Path.cwd()}, so that there are no stages to run: {mend}"


def declared(root: Path, params: Mapping[str, Any]) -> dict[str, Stage]:
    """The stages of dvc.yaml, their params as they are now.

    Raises:
        UserError: there is no dvc.yaml, it cannot be read, or it names a param that is not set.
    """
    if not (root / FLOW).exists():
        raise UserError(f"{FLOW}: no such file here; run in the project's root")
    found: dict[str, Stage] = {}
    for name, node in _mapping(read(root / FLOW), "stages").items():
        if not isinstance(node, Mapping) or "cmd" not in node:
            raise UserError(f"{FLOW}: stage {name}: expected cmd, deps and outs; a stage by foreach or matrix is told by `dvc status`")
        cmd = node["cmd"] if isinstance(node["cmd"], str) else "\n".join(node["cmd"])
        deps, outs = ([_filled(one, params, name) for one in _names(node.get(key))] for key in ("deps", "outs"))
        outs += [_filled(one, params, name) for key in ("metrics", "plots") for one in _names(node.get(key))]
        sections = [one for one in node.get("params") or () if isinstance(one, str)]
        values = {key: _value(params, key) for key in sections}
        found[str(name)] = Stage(str(name), _filled(cmd, params, name), dict.fromkeys(deps), dict.fromkeys(outs), values)
    return found


def locked(root: Path) -> dict[str, Stage]:
    """The stages of dvc.lock; none where nothing ran yet.

    Raises:
        UserError: it cannot be read.
    """
    if not (root / LOCK).exists():
        return {}
    found = {}
    for name, node in _mapping(read(root / LOCK), "stages").items():
        deps, outs = ({one["path"]: one.get("md5") for one in node.get(key) or ()} for key in ("deps", "outs"))
        cmd = node["cmd"] if isinstance(node["cmd"], str) else "\n".join(node["cmd"])
        found[str(name)] = Stage(str(name), cmd, deps, outs, (node.get("params") or {}).get(str(paths.PARAMS), {}))
    return found


def read(file: Path) -> Any:
    """What a YAML file holds, as DVC reads it.

    Raises:
        UserError: it is not YAML, with the place.
    """
    try:
        return YAML(typ="safe").load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise UserError(f"{file.name}{place}: {error.problem or 'cannot be read'}{_conflict(file)}") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{file.name}: cannot be read: {error}{_conflict(file)}") from None


def config(root: Path) -> dict[str, dict[str, str]]:
    """DVC's settings of this workspace, .dvc/config.local over .dvc/config.

    Raises:
        UserError: one of them cannot be read.
    """
    found: dict[str, dict[str, str]] = {}
    for name in ("config", "config.local"):
        file = root / ".dvc" / name
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read(file, encoding="utf-8")
        except configparser.Error as error:
            raise UserError(f".dvc/{name}: {str(error).splitlines()[0]}") from None
        for section in parser.sections():
            found.setdefault(section.strip("'"), {}).update(parser.items(section))
    return found


def cache(root: Path) -> Path:
    """Where DVC keeps what was read and written."""
    told = config(root).get("cache", {}).get("dir", "cache")
    return (root / ".dvc" / told).resolve()  # DVC takes it from the file's own folder


def _conflict(file: Path) -> str:
    if "\n<<<<<<< " not in f"\n{file.read_text(encoding='utf-8', errors='replace')}":
        return ""
    return "; it holds both sides of a merge (<<<<<<<): choose one" + (
        f", as by `git checkout --ours {LOCK}`" if file.name == LOCK.name else ""
    )


def _mapping(found: Any, key: str) -> Mapping[str, Any]:
    inner = found.get(key) if isinstance(found, Mapping) else None
    return inner if isinstance(inner, Mapping) else {}


def _names(given: Any) -> list[str]:
    return [str(next(iter(one)) if isinstance(one, Mapping) else one) for one in given or ()]


def _value(params: Mapping[str, Any], key: str) -> Any:
    found: Any = params
    for part in key.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _filled(text: str, params: Mapping[str, Any], stage: str) -> str:
    def value(match: re.Match[str]) -> str:
        if (found := _value(params, match[1])) is None:
            raise UserError(f"{FLOW}: stage {stage} reads {match[0]}, but {match[1]} is not set in {paths.PARAMS}")
        return str(found)

    return NAMED.sub(value, text)
