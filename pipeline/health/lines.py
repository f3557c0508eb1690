"""What `pipeline doctor` prints: a line for each finding, and below it how to mend it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.errors import masked
from pipeline.health.finding import Finding
from pipeline.secrets import without_secrets

if TYPE_CHECKING:
    from rich.console import Console

STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


def write(found: Sequence[Finding], out: Console) -> None:
    """Print the findings and what they come to."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    lines = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(3):
        lines.add_column(overflow="fold")
    for one in found:
        told = Text(masked(without_secrets(one.told)))
        if one.mend and one.state != "ok":
            told.append(f"\n→ {masked(without_secrets(one.mend))}", "bold" if one.state == "fail" else "")
        lines.add_row(Text(one.state, STYLES[one.state]), Text(one.what), told)
    with out.capture() as captured:
        out.print(Padding(lines, 0))
    out.file.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))
    out.file.write(f"\n{verdict(found)}\n")


def verdict(found: Sequence[Finding]) -> str:
    """What the findings come to."""
    counts = {state: sum(one.state == state for one in found) for state in ("fail", "warn")}
    if counts["fail"]:
        few = "1 thing keeps" if counts["fail"] == 1 else f"{counts['fail']} things keep"
        return f"{few} the pipeline from running as asked: the lines with an arrow say how to mend it."
    if counts["warn"]:
        return f"Ready; {counts['warn']} {'things' if counts['warn'] > 1 else 'thing'} worth a look."
    return "Ready."
