"""Docstrings of seven installed libraries, with the libraries' names masked: which library does a text come from?

The texts are read from source files, nothing is imported.  They follow the installed versions, which the lock pins.
"""

import ast
import hashlib
import importlib.util
import re
from collections import Counter
from pathlib import Path

import pyarrow as pa

LIBRARIES = ("keras", "matplotlib", "numpy", "pandas", "scipy", "sklearn", "statsmodels")
NAMES = (
    *LIBRARIES,
    "scikit",
    "learn",
    "tensorflow",
    "mpl",
    "plt",
    "pyplot",
    "np",
    "pd",
    "sp",
    "sm",
    "smf",
    "tf",
    "dataframe",
    "dataframes",
)
MASKED = re.compile(rf"(?<![a-z])(?:{'|'.join(NAMES)})(?![a-z])", re.IGNORECASE)
EACH, A_FILE = 600, 15  # texts of a library, and of a source file
SHORTEST, LONGEST = 150, 700  # characters of a text: shorter ones say little, of longer ones the beginning is kept


def load() -> pa.Table:
    """One row a docstring: the text, the source file, which keeps texts together in the split, and the library."""
    rows = [row for library in LIBRARIES for row in texts(library)]
    times = Counter(text for text, _, _ in rows)
    rows = [row for row in rows if times[row[0]] == 1]  # a text that one library took from another tells nothing
    return pa.table(
        {"text": [text for text, _, _ in rows], "file": [file for _, file, _ in rows], "library": [name for _, _, name in rows]}
    )


def texts(library: str) -> list[tuple[str, str, str]]:
    """Docstrings of a library's functions and classes, each once: a few a source file, of files in the order of digests."""
    package = Path(importlib.util.find_spec(library).origin).parent
    found: dict[str, str] = {}
    for name in sorted((file.relative_to(package.parent).as_posix() for file in package.rglob("*.py")), key=digest):
        if "/test" in name or "/_vendor" in name or "/externals/" in name:
            continue
        for text in sorted(docstrings(package.parent / name), key=digest)[:A_FILE]:
            found.setdefault(MASKED.sub("it", text[:LONGEST]), name)
        if len(found) >= EACH:
            break
    return [(text, file, library) for text, file in found.items()][:EACH]


def digest(text: str) -> str:
    """An order that has nothing to do with what a text says."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def docstrings(file: Path) -> list[str]:
    """The docstrings of a source file that are long enough; none where it cannot be read."""
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError):
        return []
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return [text for node in nodes if (text := ast.get_docstring(node)) and len(text) >= SHORTEST]
