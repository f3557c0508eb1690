"""Which files of this package a file needs, read from its import statements (those inside functions included).

The deps of dvc.yaml, the fingerprint of a training and the code carried by a model package all follow from it.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

HOME = Path(__file__).parent


def closure(*entries: Path) -> frozenset[Path]:
    """`entries` and every file of this package that they import, directly or not, `__init__` files included."""
    found: set[Path] = set()
    todo = [entry.resolve() for entry in entries]
    while todo:
        file = todo.pop()
        if file not in found:
            found.add(file)
            todo += [target for name in imported(file) for target in _files(name)]
    return frozenset(found)


@cache
def imported(file: Path) -> frozenset[str]:
    """Dotted names that `file` imports; `from a import b` gives a and a.b, since b may be a module."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def _files(name: str) -> list[Path]:
    """The files that importing `pipeline.a.b` runs."""
    parts = name.split(".")
    if parts[0] != HOME.name:
        return []
    folders = [HOME.joinpath(*parts[1:depth]) for depth in range(1, len(parts) + 1)]
    files = [folder / "__init__.py" for folder in folders if folder.is_dir()]
    module = HOME.joinpath(*parts[1:]).with_suffix(".py") if len(parts) > 1 else None
    return [file.resolve() for file in [*files, *([module] if module else [])] if file.is_file()]
