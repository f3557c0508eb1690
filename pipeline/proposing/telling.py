"""A proposal in a few lines for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline import paths
from pipeline.proposing import sizing
from pipeline.proposing.proposal import Proposal
from pipeline.proposing.writing import command


def lines(proposal: Proposal) -> Iterator[str]:
    """What was seen and chosen, and how to go on."""
    data = proposal.data
    seen = "" if proposal.whole else " (a sample of them was looked at)"
    yield f"data      {proposal.rows:,} {proposal.unit} x {proposal.width:,} columns{seen}"
    yield f"target    {data.targets[0]} ({proposal.target_why}): {proposal.told}"
    if proposal.unsure:
        yield "          a guess; to choose another: " + command(data.source, proposal.others[0].name)
        rest = ", ".join(other.name for other in proposal.others[1:])
        yield from [f"          further ones that it could be: {rest}"] if rest else []
    if data.forecast:
        yield f"task      forecast: {data.forecast.horizon} steps ahead from {data.forecast.look_back} back, one {proposal.step} each"
    else:
        yield f"task      {proposal.task}"
    by = proposal.sides.keys.get("by")
    yield f"split     {proposal.sides.keys['strategy']}{f' by {by}' if by else ''}: {proposal.sides.why}"
    for name, (kind, why) in proposal.columns.items():
        yield f"column    {name}: {kind}, {why}"
    seconds = sizing.OTHERS + sizing.VALUE * proposal.rows * proposal.width + proposal.sizes.seconds
    yield f"time      {duration(seconds)} on this machine, a rough guess: {_effort(proposal)}"
    yield f"written   {paths.PARAMS}: read its comments, then go on with `pipeline run`"


def duration(seconds: float) -> str:
    """A guess of minutes, as the range that it may well be in."""
    low, high = seconds / 60 * 0.6, seconds / 60 * 1.6
    return f"{max(1, round(low))} to {max(2, round(high))} minutes"


def _effort(proposal: Proposal) -> str:
    epochs, trials = proposal.sizes.epochs, proposal.sizes.trials
    return f"{f'{trials} trials, then ' if trials else ''}at most {epochs} epochs"
