"""Help that can be read: a command's examples one a line, the nearest name of a misspelt command."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Iterable

import click

SHORT = 60  # characters of a command's line in the table of contents


class Command(click.Command):
    """A command whose docstring ends with `Examples: first; second`, which its help shows one a line."""

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        text, lines = parts(self.help or "")
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(text)
        if lines:
            with formatter.section("Examples"):
                formatter.write("".join(f"{' ' * formatter.current_indent}{line}\n" for line in lines))


def parts(help: str) -> tuple[str, list[str]]:
    """What a docstring says, and its examples."""
    text, _, told = inspect.cleandoc(help).partition("Examples:")
    return text.strip(), [" ".join(line.split()) for line in re.split(r";\s", told) if line.strip()]


def nearest(name: str, known: Iterable[str]) -> str:
    """What to say of a name that is not known."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean `pipeline {found[0]}`?" if found else "`pipeline --help` lists them"
