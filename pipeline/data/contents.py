"""The list of a package's files and their digests, by which a changed one is refused.  The model package carries this file.

It finds what broke or was edited on the way; who can write the whole package can write the list too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import UserError

LIST = "contents.json"


def write(files: Path, others: Mapping[str, Path]) -> None:
    """Write the list of what lies in the folder `files`, and of `others` by their place in the package, into that folder."""
    own = {file.name: file for file in sorted(files.iterdir()) if file.name != LIST}
    found = {name: _digest(file) for name, file in {**own, **{f"/{place}": file for place, file in others.items()}}.items()}
    (files / LIST).write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def verify(files: Path) -> None:
    """Compare a package's files with the list in its folder `artifacts/files`.

    Raises:
        UserError: a file was changed or is gone, or there is no list.
    """
    package = files.parent.parent
    if not (files / LIST).is_file():
        raise UserError(f"{package}: {LIST} is not there: this is no whole package")
    for name, digest in json.loads((files / LIST).read_text(encoding="utf-8")).items():
        file = package / name[1:] if name.startswith("/") else files / name
        if not file.is_file():
            raise UserError(f"{package}: {name.removeprefix('/')} is gone since it was packaged")
        if _digest(file) != digest:
            raise UserError(f"{package}: {name.removeprefix('/')} was changed since it was packaged; register the model anew")


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
