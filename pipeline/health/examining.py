"""`pipeline doctor`: every look there is, in the order in which a reader mends things."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.errors import UserError
from pipeline.health import environment, machine, project, services
from pipeline.health.finding import Finding, warn
from pipeline.staleness import declared


def examine(root: Path) -> list[Finding]:
    """What was found in a folder and on this machine; nothing is changed, and no server is waited for longer than some seconds."""
    params = project.raw(root)
    looks: dict[str, Callable[[], Iterator[Finding]]] = {
        "environment": lambda: environment.examine(root),
        "project": lambda: project.examine(root),
        "machine": lambda: machine.examine(root, _cache(root), params),
        "services": lambda: services.examine(params),
    }
    return [finding for name, look in looks.items() for finding in _kept(name, look)]


def _kept(name: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """The findings of a look; where it fails itself, that it did: the others still have their say."""
    try:
        yield from look()
    except Exception as error:  # any: an odd machine is what a doctor is called for
        yield warn(name, f"could not be looked at ({type(error).__name__}: {error})", "pipeline --debug doctor raises it")


def _cache(root: Path) -> Path:
    try:
        return declared.cache(root)
    except UserError:
        return root / ".dvc" / "cache"
