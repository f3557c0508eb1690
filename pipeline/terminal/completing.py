"""What a shell completes: a script for it, and the names that are known here; cheap, and silent where there are none."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class

from pipeline import paths

SHELLS = ("bash", "zsh", "fish")
HOW = {
    "bash": 'eval "$(pipeline completion bash)" in ~/.bashrc (bash 4.4 or newer)',
    "zsh": 'eval "$(pipeline completion zsh)" in ~/.zshrc, after compinit',
    "fish": "pipeline completion fish > ~/.config/fish/completions/pipeline.fish",
}
MOST = 200  # runs, the newest
Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def script(shell: str, command: click.Command) -> str:
    """The script that makes `shell` ask this program for what may follow, with how to install it in its first line."""
    found = get_completion_class(shell)
    assert found is not None
    made = found(command, {}, "pipeline", "_PIPELINE_COMPLETE")
    return f"# {HOW[shell]}\n{made.source_template % made.source_vars()}"


def shell_here() -> str | None:
    """The user's shell, as the environment names it."""
    name = Path(os.environ.get("SHELL", "")).name
    return name if name in SHELLS else None


def of(names: Callable[[], Iterable[str]]) -> Complete:
    """A completion of an argument by `names`, asked for only then; none where they cannot be read."""

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        with suppress(Exception):
            return [CompletionItem(name) for name in names() if name.startswith(incomplete)]
        return []

    return complete


def runs() -> list[str]:
    """Keys of runs, by their journals, the newest first; and the two words that stand for runs."""
    folder = Path(os.environ.get("PIPELINE_STATE") or paths.root() / ".state") / "runs"
    there = sorted(folder.glob("*/run.json"), key=lambda file: -file.stat().st_mtime) if folder.is_dir() else []
    return ["last", "workspace", *(file.parent.name for file in there[:MOST])]


def examples() -> list[str]:
    """Names of the examples here."""
    return sorted(file.parent.name for file in Path("examples").glob(f"*/{paths.PARAMS}"))


def columns() -> list[str]:
    """Columns of the source, as collect has read it."""
    return list(json.loads(paths.SOURCE.read_text(encoding="utf-8"))["columns"])
