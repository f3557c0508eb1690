"""`pipeline status`, `doctor`: how the project and the machine stand."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import click

from pipeline import files, paths
from pipeline.errors import UserError, masked
from pipeline.secrets import without_secrets
from pipeline.terminal.help import Command


@click.command(cls=Command, short_help="Tell which stages are stale and why, and the last results.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON, with every file that changed.")
def status(as_json: bool) -> None:
    """Tell which stages are stale and why, then the last run, the champion, the last alarm and what waits to be sent.

    A stage is stale where a param, a file or its code is another one than when it ran, or an output is gone; it follows where only an
    earlier stage is.  Nothing is run.

    Examples: pipeline status; pipeline status --json
    """
    from pipeline.health import locks, places
    from pipeline.staleness import changes, declared, hashing, latest, table

    root = Path.cwd()
    if (raw := declared.read(paths.PARAMS)) is None and (root / declared.FLOW).exists():
        raise UserError(f"status: no {paths.PARAMS} here: `pipeline init` writes one")
    raw = raw if isinstance(raw, dict) else {}
    flow, before = declared.declared(root, raw), declared.locked(root)
    kept = paths.state_folder() / "digests.json" if places.has_state() else None
    hasher = hashing.Hasher(root, kept)
    found = changes.standings(flow, before, hasher=hasher, cache=declared.cache(root), commits=latest.commit_of_last_run())
    hasher.keep()
    running = places.running(locks.holders)
    register = {"name": "model", "alias": "champion", **(raw.get("register") or {})}
    more: dict[str, Any] = {
        "run": latest.last_run(),
        "champion": latest.champion(register["name"], register["alias"]) if before else None,
        "watched": latest.watched(),
        "unsent": latest.unsent(),
        "checkpoint": None if "train" in running else latest.checkpoint(),
        "remote": [dep for stage in flow.values() for dep in stage.deps if "://" in dep],
    }
    if as_json:
        plain = {name: dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value for name, value in more.items()}  # type: ignore[arg-type]
        told = {"stages": [dataclasses.asdict(one) | {"running": running.get(one.stage, [])} for one in found], **plain}
        click.echo(masked(without_secrets(json.dumps(told, indent=2, ensure_ascii=False, default=str))))
        return
    from pipeline.history import tables
    from pipeline.tracking import journal

    out = tables.console()
    costs = files.read_json(paths.costs()) if places.has_state() and paths.costs().exists() else {}
    tables.write([table.stages(found, running)], out)
    out.print(f"\n{table.verdict(found, costs)}")
    if hint := table.pulled(found, any("remote" in name for name in declared.config(root))):
        out.print(hint)
    if rows := table.latest(**more, now=journal.now()):
        click.echo()
        tables.write([tables.Grid("", rows)], out)


@click.command(cls=Command, short_help="Check the machine, the environment and the project's state.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def doctor(as_json: bool) -> None:
    """Look at Python, its packages, the folder, git, DVC, disk, memory, GPU and services, and say how to mend what is amiss.

    Each line is ok, warn (it costs time or a comfort) or fail (a stage cannot run).  Nothing is changed.  Exit code 1 where
    something fails, else 0.

    Examples: pipeline doctor; pipeline doctor --json
    """
    from pipeline.health import examining

    found = examining.examine(Path.cwd())
    if as_json:
        click.echo(masked(without_secrets(json.dumps([dataclasses.asdict(one) for one in found], indent=2, ensure_ascii=False))))
    else:
        from pipeline.health import lines
        from pipeline.history import tables

        lines.write(found, tables.console())
    raise SystemExit(any(one.state == "fail" for one in found))
