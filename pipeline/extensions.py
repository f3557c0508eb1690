"""A user's own file: an encoder, a metric or a cleaning step, named in params.yaml by its path.

A file lies in the folder of its kind below extensions/, since the stages that read it depend on that folder, and holds one
function of a given name.  The model package carries this file, which needs nothing but Python.
"""

from __future__ import annotations

import hashlib
import inspect
import linecache
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from pipeline.errors import UserError

HOME = Path("extensions")
PACKAGED = "encoder_"  # what the name of an encoder's file begins with in a package


@dataclass(frozen=True)
class Extension:
    """A user's file as a module, and its function."""

    file: Path
    module: ModuleType
    function: Callable[..., Any]

    def __call__(self, *given: Any, **named: Any) -> Any:
        """What the function returns.

        Raises:
            UserError: it fails; told with the line of the user's file.
        """
        try:
            return self.function(*given, **named)
        except Exception as error:
            raise failure(self.file, f"{self.function.__name__}()", error) from error

    @property
    def where(self) -> str:
        """The file and the line on which the function begins."""
        return f"{self.file}:{self.function.__code__.co_firstlineno}" if inspect.isfunction(self.function) else str(self.file)

    @property
    def options(self) -> tuple[str, ...]:
        """What the function may be told by name."""
        parameters = inspect.signature(self.function).parameters.values()
        return tuple(one.name for one in parameters if one.kind in (one.KEYWORD_ONLY, one.POSITIONAL_OR_KEYWORD))

    def mistake(self, text: str) -> UserError:
        return UserError(f"{self.where}: {text}")


def place(key: str, path: str, folder: str) -> Path:
    """The file that params name by `key`.

    Raises:
        UserError: it is no Python file of extensions/<folder>, or not there.
    """
    file, home = Path(path), HOME / folder
    if file.is_absolute() or ".." in file.parts or file.suffix != ".py" or file.parent != home:
        raise UserError(f"{key}: expected a Python file of {home}/, where a change of it is seen by the stages that read it, got {path}")
    if not file.is_file():
        there = ", ".join(str(one) for one in sorted(home.glob("*.py"))) or "none"
        raise UserError(f"{key}: no such file {path}; {home}/ holds {there}")
    return file


def load(
    file: Path, name: str, example: str, *, given: int = 0, optional: Collection[str] = (), named: Collection[str] | None = None
) -> Extension:
    """The file run as a module, with its function `name`.

    Args:
        example: how the function is written, for messages.
        given: how many arguments it gets by place; optional: those that it gets only where it names them.
        named: all that it may be told, each by its name; where None anything.

    Raises:
        UserError: the file fails, or holds no function that can be called so.
    """
    module = run(file)
    function = getattr(module, name, None)
    if not callable(function):
        there = ", ".join(key for key, value in vars(module).items() if inspect.isfunction(value)) or "none"
        raise UserError(f"{file}: expected a function {example}; functions there: {there}")
    found = Extension(file, module, function)
    needed = [one for one in inspect.signature(function).parameters.values() if one.default is one.empty]
    by_place = [one for one in needed if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) and one.name not in optional]
    taken = {one.name for one in inspect.signature(function).parameters.values()}
    if given and len(by_place) != given:
        raise found.mistake(f"expected {example}, got {name}{inspect.signature(function)}")
    if named is not None and (unknown := sorted(taken - set(named))):
        raise found.mistake(f"expected {example}, got {name}{inspect.signature(function)}: {', '.join(unknown)} is not known")
    return found


def run(file: Path) -> ModuleType:
    """The module that a file makes; equal content is run once a process.

    Raises:
        UserError: it cannot be read or fails.
    """
    return _run(file, digest(file))


def digest(file: Path) -> str:
    """SHA-256 of a file.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror})") from None


@cache
def _run(file: Path, digest: str) -> ModuleType:
    module = ModuleType(f"extension_{file.stem}")
    module.__file__ = str(file)
    sys.modules[module.__name__] = module  # where dataclasses and Keras look for it
    try:
        exec(compile(file.read_bytes(), str(file), "exec"), module.__dict__)  # not imported: that would leave compiled files beside it
    except Exception as error:
        raise failure(file, "it", error) from error
    return module


def failure(file: Path, what: str, error: BaseException) -> UserError:
    """What a user's code raised, with the line of the user's file that it came from."""
    trace, line = error.__traceback__, (error.lineno or 0) if isinstance(error, SyntaxError) and error.filename == str(file) else 0
    while trace:
        if trace.tb_frame.f_code.co_filename == str(file):
            line = trace.tb_lineno
        trace = trace.tb_next
    linecache.checkcache(str(file))
    code = linecache.getline(str(file), line).strip()
    where = f"{file}:{line}" if line else str(file)
    return UserError(f"{where}: {what} raised {type(error).__name__}: {error}" + (f"  [{code}]" if code else ""))
