"""Why a stage is stale: what differs between dvc.lock and the workspace, and which stages only follow from that.

dvc.lock is read here rather than by `dvc status`: that takes two seconds, tells a folder and no file in it, a section of params.yaml and
no value, and refuses to answer while a `dvc repro` is at work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pipeline.staleness import earlier, runs
from pipeline.staleness.declared import Stage
from pipeline.staleness.hashing import Hasher, Listing

State = Literal["ok", "stale", "restored", "follows", "never run"]
Kind = Literal["command", "param", "code", "data", "input", "output"]


@dataclass(frozen=True)
class Change:
    """One thing that is not as it was when the stage last ran."""

    kind: Kind
    name: str
    """A dotted key of params.yaml, or a path."""
    told: str
    """What became of it: changed, missing, new, ..."""
    old: Any = None
    new: Any = None
    files: Mapping[str, Sequence[str]] | None = None
    """Of a folder whose files are known: which were changed, added and removed."""


@dataclass(frozen=True)
class Standing:
    """How a stage stands: ok; stale by changes of its own; with outputs that come back from the cache; after stages that run before it."""

    stage: str
    state: State
    changes: tuple[Change, ...] = ()
    after: tuple[str, ...] = ()


def standings(
    declared: Mapping[str, Stage], locked: Mapping[str, Stage], *, hasher: Hasher, cache: Path, commits: Sequence[str] = ()
) -> list[Standing]:
    """Each stage of dvc.yaml, in the order in which they run.

    Args:
        commits: in which to look first for what folders held.
    """
    made_by = {out: stage.name for stage in declared.values() for out in stage.outs}
    found: dict[str, Standing] = {}
    then: dict[str, Stage | None] = {}  # each stage as it will have run when a later one reads it; None where that is not known
    for name in ordered(declared, made_by):
        stage, before = declared[name], locked.get(name)
        sources = {dep: producer(dep, made_by) for dep in stage.deps}
        after = tuple(dict.fromkeys(source for source in sources.values() if source and then.get(source) is None))
        look = _Look(hasher, cache, commits)
        changes, outputs = ([], []) if before is None else _changes(stage, before, sources, then, look)
        if before and not changes and (after or not outputs):
            found[name] = Standing(name, "follows" if after else "ok", tuple(outputs), after)
            then[name] = None if after else before
            continue
        now = {dep: hasher.of(dep) if source is None else _written(dep, then.get(source), cache) for dep, source in sources.items()}
        then[name] = None if after else runs.remembered(stage, now, cache)
        state: State = "restored" if then[name] else "stale" if before else "never run"
        found[name] = Standing(name, state, (*changes, *outputs), after)
    return list(found.values())


def _changes(
    stage: Stage, before: Stage, sources: Mapping[str, str | None], then: Mapping[str, Stage | None], look: _Look
) -> tuple[list[Change], list[Change]]:
    """In what a stage is not as it was: what it comes from, and its outputs."""
    found = [*_commands(stage, before), *_params(stage.params, before.params)]
    for dep, source in sources.items():
        found += _dep(dep, before, look) if source is None else _input(dep, source, before, then.get(source), look.cache)
    return found, [change for out in stage.outs for change in _output(out, before, look)]


def ordered(declared: Mapping[str, Stage], made_by: Mapping[str, str]) -> list[str]:
    """Stages after those whose outputs they read, else as dvc.yaml has them."""
    done: dict[str, None] = {}

    def visit(name: str, above: tuple[str, ...]) -> None:
        if name not in done and name not in above:  # DVC itself refuses a circle
            for source in (producer(dep, made_by) for dep in declared[name].deps):
                if source:
                    visit(source, (*above, name))
            done[name] = None

    for name in declared:
        visit(name, ())
    return list(done)


def producer(dep: str, made_by: Mapping[str, str]) -> str | None:
    """The stage of which a path is an output, or lies in one."""
    places = [dep, *(str(parent) for parent in PurePosixPath(dep).parents)]
    return next((made_by[one] for one in places if one in made_by), None)


def flat(value: Any, name: str) -> dict[str, Any]:
    """A section's values by dotted key; an empty mapping is a value."""
    if isinstance(value, Mapping) and value:
        return {key: inner for part, of in value.items() for key, inner in flat(of, f"{name}.{part}").items()}
    return {name: value}


@dataclass(frozen=True)
class _Look:
    hasher: Hasher
    cache: Path
    commits: Sequence[str]

    def differing(self, folder: str, known: str) -> dict[str, list[str]] | None:
        """Which files of a folder are other ones now; None where what it held is not known."""
        then = earlier.listing(folder, known, cache=self.cache, root=self.hasher.root, commits=self.commits)
        return None if then is None else _differing(then, self.hasher.listing(folder))


def _differing(then: Listing, now: Listing) -> dict[str, list[str]]:
    return {
        "changed": sorted(name for name in then.keys() & now.keys() if then[name] != now[name]),
        "added": sorted(now.keys() - then.keys()),
        "removed": sorted(then.keys() - now.keys()),
    }


def _commands(stage: Stage, before: Stage) -> list[Change]:
    return [Change("command", "cmd", "changed", before.cmd, stage.cmd)] if stage.cmd != before.cmd else []


def _params(now: Mapping[str, Any], then: Mapping[str, Any]) -> list[Change]:
    found = []
    for section in now:
        ours, theirs = (flat(values.get(section), section) for values in (now, then))
        for key in [*theirs, *(key for key in ours if key not in theirs)]:
            if key not in ours:
                under = any(other.startswith(f"{key}.") for other in ours)  # {} became a mapping with values: these are told
                found += [] if under else [Change("param", key, "removed", theirs[key])]
            elif key not in theirs:
                under = any(other.startswith(f"{key}.") for other in theirs)
                found += [] if under else [Change("param", key, "added", None, ours[key])]
            elif ours[key] != theirs[key] or (type(ours[key]) is not type(theirs[key]) and bool in (type(ours[key]), type(theirs[key]))):
                found.append(Change("param", key, "changed", theirs[key], ours[key]))
    return found


def _kind(path: str) -> Kind:
    return "code" if path.startswith("pipeline/") or path.endswith(".py") else "data"


def _dep(path: str, before: Stage, look: _Look) -> list[Change]:
    """A file or folder that no stage writes."""
    if "://" in path:  # whose server would have to be asked
        return [] if path in before.deps else [Change(_kind(path), path, "not read before")]
    now = look.hasher.of(path)
    if now is None:
        return [Change(_kind(path), path, "missing")]
    if path not in before.deps:
        return [Change(_kind(path), path, "not read before")]
    if (then := before.deps[path]) == now:
        return []
    both = then is not None and then.endswith(".dir") and now.endswith(".dir")
    return [Change(_kind(path), path, "changed", files=look.differing(path, then) if both and then else None)]


def _input(path: str, source: str, before: Stage, now: Stage | None, cache: Path) -> list[Change]:
    """An output of an earlier stage: whether that has written another one since; what lies on the disk is its own affair."""
    if path not in before.deps:
        return [Change("input", path, f"of {source} not read before")]
    known = _written(path, now, cache)
    return [] if known is None or known == before.deps[path] else [Change("input", path, f"written anew by {source}")]


def _written(path: str, stage: Stage | None, cache: Path) -> str | None:
    """The digest of an output, or of a file in one, when its stage last ran; None where it is not known."""
    if stage is None:
        return None
    if path in stage.outs:
        return stage.outs[path]
    for out, known in stage.outs.items():
        if known and path.startswith(f"{out}/"):
            return (earlier.cached(known, cache) or {}).get(path.removeprefix(f"{out}/"))
    return None


def _output(path: str, before: Stage, look: _Look) -> list[Change]:
    now = look.hasher.of(path)
    if path not in before.outs:
        return [Change("output", path, "not written before")]
    if now is None:
        return [Change("output", path, "missing")]
    if (then := before.outs[path]) == now:
        return []
    both = then is not None and then.endswith(".dir") and now.endswith(".dir")
    return [Change("output", path, "changed", files=look.differing(path, then) if both and then else None)]
