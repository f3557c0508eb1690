"""Python and its packages: whether they are those of the lock, and whether a stage's process would find them."""

from __future__ import annotations

import importlib.metadata
import locale
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from pipeline.health.finding import Finding, fail, ok, warn

OWN = "experiment-pipeline"
LOCKS = ("requirements-gpu.lock", "requirements.lock")  # of which one makes an environment
MOST = 5  # packages that are named
LIBRARIES = (
    "click",
    "duckdb",
    "dvc",
    "evidently",
    "ibis",
    "jax",
    "keras",
    "mlflow",
    "numpy",
    "optuna",
    "pandas",
    "pyarrow",
    "tensorflow",
    "yaml",
)


def examine(root: Path) -> Iterator[Finding]:
    """All that concerns the environment."""
    yield python()
    yield packages(root)
    yield interpreter()
    yield from shadows(root)
    yield from texts()


def python() -> Finding:
    """Whether this Python is one that the project supports."""
    supported = SpecifierSet(importlib.metadata.metadata(OWN)["Requires-Python"] or "")
    version = ".".join(map(str, sys.version_info[:3]))
    if supported.contains(version):
        return ok("python", f"{version}, {sys.prefix}")
    return fail("python", f"{version}; {supported} is needed", "rm -r .venv, then make run PYTHON=python3.12")


def packages(root: Path) -> Finding:
    """Whether the environment holds what the lock names, in those versions."""
    installed: dict[str, str] = {}
    for one in importlib.metadata.distributions():
        about = one.metadata  # read once: it is parsed anew each time
        installed.setdefault(canonicalize_name(about["Name"] or ""), about["Version"])  # the first on the path is what is imported
    file = lock(root)
    if file is None:
        asked = [Requirement(text) for text in importlib.metadata.requires(OWN) or ()]
        missing, other = differing((one for one in asked if one.marker is None or one.marker.evaluate({"extra": ""})), installed)
        named, mend = f"what {OWN} asks for", f"pip install --upgrade {OWN}"
    else:
        missing, other = differing(requirements(file), installed)
        named = file.name
        mend = f"LOCK={file.name} make run" if file.name != LOCKS[1] else "make run"
        if (stamp := _stamp()) is not None and stamp.name == f"{file.name}.ready" and stamp.stat().st_mtime >= file.stat().st_mtime:
            mend = f"rm {os.path.relpath(stamp, root)}, then {mend}"  # else make takes the environment for ready
    if not missing and not other:
        return ok("packages", f"as {named} has them ({len(installed)} installed)")
    told = [f"missing: {_some(missing)}"] if missing else []
    told += [f"other versions: {_some(other)}"] if other else []
    return (fail if missing else warn)("packages", f"not as {named} has them; {'; '.join(told)}", mend)


def requirements(file: Path) -> Iterator[Requirement]:
    """The packages of a lock that this machine and Python need; hashes and options are passed over."""
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line[:1].isalnum():
            continue
        try:
            one = Requirement(line.rstrip("\\ "))
        except InvalidRequirement:
            continue
        if one.marker is None or one.marker.evaluate():
            yield one


def differing(asked: Iterable[Requirement], installed: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """What is missing, and what is there in another version, in words."""
    missing, other = [], []
    for one in asked:
        version = installed.get(canonicalize_name(one.name))
        if version is None:
            missing.append(one.name)
        elif not one.specifier.contains(version, prereleases=True):
            other.append(f"{one.name} {version} ({one.specifier})")
    return missing, other


def lock(root: Path) -> Path | None:
    """The lock from which this environment was made, else the usual one: of this folder, else beside the code."""
    stamp = _stamp()
    names = [stamp.name.removesuffix(".ready")] if stamp else []
    for folder in (root, Path(__file__).parents[2]):
        for name in (*names, LOCKS[1]):
            if (folder / name).is_file():
                return folder / name
    return None


def _stamp() -> Path | None:
    """What make leaves when the environment is ready."""
    return next((file for name in LOCKS if (file := Path(sys.prefix) / f"{name}.ready").exists()), None)


def interpreter() -> Finding:
    """Whether `python` of the path is this one: stages are `python -m pipeline`, and `dvc repro` finds that by the path."""
    found = shutil.which("python")
    here = Path(sys.executable).parent
    if found and Path(found).parent.resolve() == here.resolve():
        return ok("path", f"python is {found}")
    told = f"`python` on the path is {found or 'missing'}, not of this environment: `dvc repro` would run the stages with it"
    return warn("path", f"{told}; `pipeline run` does not", f"source {here}/activate")


def shadows(root: Path) -> Iterator[Finding]:
    """Files of the project's root that stand in the way of a library: the root comes first where Python looks."""
    known = {*sys.stdlib_module_names, *LIBRARIES} - {"__main__", "this", "test"}
    there = [file.name for file in sorted(root.glob("*.py")) if file.stem in known]
    there += [f"{file.parent.name}/" for file in sorted(root.glob("*/__init__.py")) if file.parent.name in known]
    if there:
        yield fail("names", f"{_some(there)} here hides a library of that name from the stages", "give it another name, or another folder")


def texts() -> Iterator[Finding]:
    """Whether names and files are read as UTF-8."""
    encodings = {sys.getfilesystemencoding(), "utf-8" if sys.flags.utf8_mode else locale.getpreferredencoding(False)}
    if other := sorted({name for name in encodings if name.lower().replace("-", "") != "utf8"}):
        yield warn("locale", f"text is {', '.join(other)} here, not UTF-8: names with umlauts may fail", "export LC_ALL=C.UTF-8")


def _some(names: list[str]) -> str:
    return ", ".join(names[:MOST]) + (f" and {len(names) - MOST} more" if len(names) > MOST else "")
