"""The examples: what each is about, and their params.yaml for the project's root."""

from __future__ import annotations

import re
from pathlib import Path

from pipeline import paths
from pipeline.errors import UserError
from pipeline.params_file import schema_line

FOLDER = Path("examples")
HINT = "# yaml-language-server:"


def names() -> list[str]:
    """The examples that have a params.yaml."""
    return sorted(file.parent.name for file in FOLDER.glob(f"*/{paths.PARAMS}"))


def told(name: str) -> str:
    """The title and the first sentence of an example's README."""
    text = (FOLDER / name / "README.md").read_text(encoding="utf-8")
    title, _, rest = text.partition("\n")
    sentence = re.split(r"(?<=[.?!])\s", " ".join(rest.split()), maxsplit=1)[0]
    return re.sub(r"[*`]", "", f"{title.lstrip('# ')}: {sentence}")


def params(name: str) -> str:
    """Its params.yaml as it stands in the root, where the JSON Schema has another path.

    Raises:
        UserError: there is no such example.
    """
    if name not in names():
        raise UserError(f"init --example: no example {name!r}; examples are {', '.join(names()) or 'none: run in the project root'}")
    text = (FOLDER / name / paths.PARAMS).read_text(encoding="utf-8")
    return schema_line(paths.PARAMS) + "\n" + text.partition("\n")[2] if text.startswith(HINT) else text


def copied(name: str) -> str:
    """What to say of an example that was copied."""
    return f"{paths.PARAMS}: {name} ({FOLDER}/{name}/README.md tells about it); go on with `pipeline run`"


def is_one(text: str) -> bool:
    """Whether a params.yaml is an example's as it was copied, so that nothing is lost with it."""
    return any(_body(text) == _body(params(name)) for name in names())


def _body(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith(HINT))
