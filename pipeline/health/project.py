"""The folder: params.yaml, git, DVC, and who is at work in it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from pipeline import params_file, paths
from pipeline.errors import UserError
from pipeline.health import locks, places
from pipeline.health.finding import Finding, fail, ok, warn
from pipeline.staleness import declared

PATIENCE = 3.0  # seconds for git
IDENTITY = {"name": "GIT_AUTHOR_NAME", "email": "GIT_AUTHOR_EMAIL"}


def examine(root: Path) -> Iterator[Finding]:
    """All that concerns the folder."""
    yield params(root)
    yield from git(root)
    yield from dvc(root)
    yield from at_work(root)


def raw(root: Path) -> Mapping[str, Any]:
    """params.yaml as it is written, mistakes and all; empty where it cannot be read."""
    try:
        found = declared.read(root / paths.PARAMS)
    except UserError:
        return {}
    return found if isinstance(found, Mapping) else {}


def params(root: Path) -> Finding:
    """Whether params.yaml is there and sound, and its source, if that is a file."""
    if not (root / paths.PARAMS).exists():
        return warn("params", f"no {paths.PARAMS} in {root}", "pipeline init, or go to the project's root")
    try:
        found = params_file.load(root / paths.PARAMS)
    except UserError as error:
        more = f" and {len(error.messages) - 1} more" if len(error.messages) > 1 else ""
        return fail("params", f"{error.messages[0].removeprefix(f'{root}/')}{more}", "pipeline check tells them all")
    source = found.section("data").source
    if "://" not in source and not (root / source).exists():
        return fail("params", f"data.source: {source} is not there", "put it there, or correct data.source in params.yaml")
    return ok("params", f"{paths.PARAMS} is sound; source {source}")


def git(root: Path) -> Iterator[Finding]:
    """Whether there is a repository, who commits, and what is not committed."""
    if shutil.which("git") is None:
        yield warn("git", "not on the path: no experiments, no `pipeline reproduce`", "install git")
        return
    if _git(root, "rev-parse", "--show-toplevel") is None:
        yield warn("git", "no repository here: no experiments, no `pipeline reproduce`", "git init && git add -A && git commit -m start")
        return
    head = _git(root, "rev-parse", "--short", "HEAD")
    if head is None:
        yield warn("git", "a repository without a commit: runs cannot name their code", "git add -A && git commit -m start")
    missing = [name for name, variable in IDENTITY.items() if not os.environ.get(variable) and not _git(root, "config", f"user.{name}")]
    if missing:
        names = " and ".join(f"user.{name}" for name in missing)
        yield warn("git", f"{names} not set: git refuses to commit", "; ".join(f"git config --global user.{name} ..." for name in missing))
    if head is not None:
        changed = _git(root, "status", "--porcelain", "--untracked-files=normal")
        branch = _git(root, "rev-parse", "--abbrev-ref", "HEAD")
        where = f"{head} on {branch}" if branch != "HEAD" else f"{head}, on no branch"
        count = len((changed or "").splitlines())
        told = (
            "all committed"
            if changed == ""
            else f"{count} uncommitted, kept with each run"
            if count
            else "its changes could not be listed in time"
        )
        yield ok("git", f"{where}; {told}")


def dvc(root: Path) -> Iterator[Finding]:
    """Whether DVC is installed, set up here, has a cache that takes files, and can read dvc.yaml and dvc.lock."""
    try:
        version = importlib.metadata.version("dvc")
    except importlib.metadata.PackageNotFoundError:
        yield fail("dvc", "not installed", "make run")
        return
    if not (root / ".dvc").is_dir():
        above = next((folder for folder in root.parents if (folder / ".dvc").is_dir()), None)
        mend = f"cd {above}" if above else "run in the project's root; in a folder of its own: dvc init"
        yield warn("dvc", f"{version}, but no .dvc in {root}", mend)
        return
    try:
        settings, cache = declared.config(root), declared.cache(root)
    except UserError as error:
        yield fail("dvc", str(error), "mend the file, or git checkout .dvc/config")
        return
    there = places.existing(cache)
    if not os.access(there, os.W_OK):
        yield fail("dvc", f"the cache {cache} cannot be written to", "chown or chmod it, or: dvc cache dir --local FOLDER")
    else:
        links = settings.get("cache", {}).get("type", "reflink,copy")
        remotes = [name.removeprefix("remote ").strip('"') for name in settings if "remote" in name]
        shared = f"; remote {', '.join(remotes)}" if remotes else "; no remote"
        yield ok("dvc", f"{version}; cache {os.path.relpath(cache, root)}, {_linked(links, there, root)}{shared}")
    yield from _flow(root)


def _flow(root: Path) -> Iterator[Finding]:
    """Whether dvc.yaml and dvc.lock can be read."""
    if not (root / declared.FLOW).exists():
        yield warn("dvc.yaml", f"none in {root}: there are no stages to run", "run in the project's root")
        return
    try:
        stages = declared.declared(root, raw(root))
        before = declared.locked(root)
    except UserError as error:
        yield fail("dvc.yaml", str(error), "git diff shows what was changed in it")
        return
    ran = sum(name in before for name in stages)
    yield ok(
        "dvc.yaml",
        f"{len(stages)} stage{'' if len(stages) == 1 else 's'}, {ran or 'none'} of which ran; `pipeline status` tells what is stale",
    )


def _linked(links: str, cache: Path, root: Path) -> str:
    """How files come from the cache into the workspace."""
    if cache.stat().st_dev != root.stat().st_dev and "symlink" not in links:
        return f"on another file system: each output lies twice (cache.type {links})"
    kinds = {part.mountpoint: part.fstype for part in psutil.disk_partitions(all=True)}
    place = next((str(folder) for folder in (cache, *cache.parents) if str(folder) in kinds), "")
    if links.startswith("reflink"):
        can = kinds.get(place, "") in ("btrfs", "xfs", "apfs", "zfs", "bcachefs")
        return "by reflink where the disk can" if can else f"files are copied ({kinds.get(place) or 'this disk'} has no reflinks)"
    return f"by {links}"


def at_work(root: Path) -> Iterator[Finding]:
    """Processes that hold locks of DVC and of stages here."""
    alive = _dvc_processes(root)
    if alive:
        yield warn("at work", f"dvc: {'; '.join(map(locks.named, alive))}", "wait for it: a second `dvc repro` fails on its lock")
    for stage, pids in places.running(locks.holders).items():
        for pid in pids:
            if locks.is_orphan(pid) and not alive:
                yield warn(
                    "at work",
                    f"{stage}: {locks.named(pid)}, whose dvc is gone",
                    f"wait for it: the next run of {stage} does; or kill {pid}",
                )
            else:
                yield ok("at work", f"{stage}: {locks.named(pid)}")


def _dvc_processes(root: Path) -> list[int]:
    """Living processes that hold DVC's lock, or read or write outputs."""
    found = set(locks.holders(root / ".dvc" / "tmp" / "lock"))
    try:
        told = json.loads((root / ".dvc" / "tmp" / "rwlock").read_text(encoding="utf-8"))
        entries = [*told.get("write", {}).values(), *(one for some in told.get("read", {}).values() for one in some)]
        found |= {int(one["pid"]) for one in entries}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # DVC itself makes it anew
    return sorted(pid for pid in found if psutil.pid_exists(pid) and pid != os.getpid())


def _git(root: Path, *words: str) -> str | None:
    """What git says; None where it refuses, or takes too long.  It takes no lock and writes no index."""
    try:
        done = subprocess.run(["git", "--no-optional-locks", *words], cwd=root, capture_output=True, text=True, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
