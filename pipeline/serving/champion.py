"""Which package is to be served, and a copy of it that nobody changes meanwhile."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from pipeline import packaging
from pipeline.errors import UserError
from pipeline.packaging import REGISTERED, Package
from pipeline.serving import about
from pipeline.serving.about import About
from pipeline.tracking import registry

HOME = "pipeline-serve-"  # and the process' number


@dataclass(frozen=True)
class Found:
    """A package, what it says of itself, and what holds its files."""

    package: Package
    about: About
    held: ExitStack


def identity(model: str) -> str | None:
    """What `model` stands for at this moment: models:/NAME/VERSION for an alias, all else as it is; None where an alias has no version."""
    name, alias, _ = packaging.reference(model)
    if not alias:
        return model
    version = registry.holding(name, alias)
    return f"{REGISTERED}{name}/{version.number}" if version else None


@contextmanager
def home() -> Iterator[Path]:
    """A folder for this server's packages; those that killed ones have left are removed."""
    for left in Path(tempfile.gettempdir()).glob(f"{HOME}*"):
        number = left.name.removeprefix(HOME).partition("-")[0]
        if number.isdigit() and not psutil.pid_exists(int(number)):
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"{HOME}{os.getpid()}-") as name:
        yield Path(name)


def fetched(model: str, home: Path) -> Found:
    """The package that `model` (an `identity`) names, in a folder of its own below `home`.

    Raises:
        UserError: there is none.
    """
    with ExitStack() as held:
        name, _, version = packaging.reference(model)
        if version:
            package = held.enter_context(packaging.opened(model, home=home))
            return Found(package, about.read(package, name, version), held.pop_all())
        there = held.enter_context(packaging.opened(model))
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(dir=home))) / "package"
        shutil.copytree(there.folder, folder)  # the next `dvc repro` replaces it
        package = held.enter_context(packaging.opened(str(folder)))
        return Found(package, about.read(package, name), held.pop_all())


def required(model: str) -> str:
    """`identity`, for the start.

    Raises:
        UserError: the alias has no version.
    """
    if (found := identity(model)) is None:
        raise UserError(f"{model}: no version has this alias yet; `pipeline run` registers one, `pipeline versions` lists them")
    return found
