"""`pipeline init`, `check`: from data to a params.yaml without mistakes."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import click

from pipeline import paths
from pipeline.errors import UserError
from pipeline.staleness.declared import FLOW, outside
from pipeline.terminal import completing
from pipeline.terminal.help import Command

if TYPE_CHECKING:
    from pipeline.preflight.checking import Checked

log = logging.getLogger("pipeline")


@click.command(cls=Command, short_help="Check params.yaml and the data; estimate time and memory.")
@click.option("--no-data", is_flag=True, help="Look at params.yaml alone.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def check(no_data: bool, as_json: bool) -> None:
    """Check params.yaml against the data and this machine, and estimate what the run takes.

    Every problem at once, each with its place, reason and remedy: unknown keys, columns and classes that are not there, a task that
    the target's values do not fit, a split that leaves a side without rows, a device or package that is missing. Warnings do not fail.

    Examples: pipeline check; pipeline check --json
    """
    from pipeline.preflight import estimating, sampling, telling
    from pipeline.preflight.checking import check as look

    found = look(paths.PARAMS, data=not no_data) if as_json else checked(data=not no_data)
    stages: list[estimating.Estimate] = []
    if found.params is not None and found.work is not None and not found.errors:
        stages = estimating.estimates(found.work, found.params, fresh=sampling.fresh(found.params.data))
    if as_json:
        click.echo(json.dumps(telling.as_json(found, stages), indent=1, ensure_ascii=False))
        raise SystemExit(2 if found.errors else 0)
    if found.unread:
        click.echo(found.unread)
    elif told := telling.size(found):
        click.echo(told)
    if stages:
        click.echo("\n".join(["", *telling.table(stages), ""]))
    for one in estimating.too_large(stages):
        text = f"{one.stage} may need {telling.memory(one.memory)}, more than this machine has: {estimating.LESS_MEMORY[one.stage]}"
        log.warning("%s", text)
    click.secho(f"{paths.PARAMS}: ok", fg="green")


def checked(*, data: bool = True) -> Checked:
    """What there is to know of params.yaml; tells warnings.

    Raises:
        UserError: it holds mistakes, or does not fit the data or the machine: one message for each.
    """
    from pipeline.preflight.checking import check as look

    found = look(paths.PARAMS, data=data)
    for finding in found.findings:
        if finding.level == "warning":
            log.warning("%s (a warning)", finding)
    if found.errors:
        raise UserError(*map(str, found.errors))
    return found


@click.command(cls=Command, short_help="Look at data and write the params.yaml for it.")
@click.argument("source", required=False)
@click.option(
    "--target",
    metavar="COLUMN",
    shell_complete=completing.of(completing.columns),
    help="The column to predict; without it one is proposed by name and place.",
)
@click.option(
    "--example", metavar="NAME", shell_complete=completing.of(completing.examples), help="Copy the params.yaml of an example instead."
)
@click.option("--list", "listed", is_flag=True, help="List the examples.")
@click.option("--force", is_flag=True, help="Replace params.yaml, and keep the old one as params.yaml.bak.")
def init(source: str | None, target: str | None, example: str | None, listed: bool, force: bool) -> None:
    """Look at data and write the params.yaml for it.

    SOURCE is a file, a folder, an archive or a URL. What was seen, and why each choice was made, stands in the file's comments. A
    params.yaml that is there is kept, unless it is an example's or --force is given.

    Examples: pipeline init churn.csv; pipeline init --example digits
    """
    from pipeline.proposing import examples, placing

    if listed:
        known = examples.names()
        for name in known:
            click.echo(f"{name:{max(map(len, known))}}  {examples.told(name)}")
        return
    if (source is None) == (example is None):
        raise UserError(
            "init: expected a file or folder, such as `pipeline init churn.csv`, or an example; `pipeline init --list` names them"
        )
    if example is not None:
        if target is not None:
            raise UserError("init: --target goes with a file or folder; an example has its own")
        text, told = examples.params(example), [examples.copied(example)]
    else:
        from pipeline.proposing import proposal, telling, writing

        placing.check_free(force=force)
        proposed = proposal.propose(str(source), target)
        text, told = writing.written(proposed), list(telling.lines(proposed))
    if spare := placing.placed(text, force=force):
        click.echo(f"{paths.PARAMS} was there: it is now {spare}")
    for line in told:
        click.echo(line)
    if not FLOW.exists():
        log.warning("%s", outside("init"))
