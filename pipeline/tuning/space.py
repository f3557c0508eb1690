"""What is searched: the values of a trial, as Optuna suggests them, and a space for those who name none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pipeline.config import Interval, ModelParams, Scalar, TuneParams
from pipeline.data.fitted import Preprocessor
from pipeline.models.families import groups

Values = dict[str, Any]  # by key of the space: a number, text or truth value, a list of them, or None
Suggest = Callable[[str, Interval], Scalar]


def space_of(tune: TuneParams, fitted: Preprocessor, model: ModelParams) -> Mapping[str, Interval]:
    """`tune.space`, or one that suits the data and the network where none is given."""
    return tune.space if tune.space is not None else usual(fitted, model)


def usual(fitted: Preprocessor, model: ModelParams) -> dict[str, Interval]:
    """Step length and decay for every network; dropout, width and depth where there are hidden layers; and what the family has."""
    space = {"train.learning_rate": Interval(log=(3e-4, 1e-2)), "train.weight_decay": Interval(log=(1e-4, 1e-1))}
    found = groups(fitted, model)
    families = {group.family for group in found if not group.own}
    if all(group.own for group in found):  # nobody knows what the user's encoders read of model
        return space
    linear = model.layers == 0 or (fitted.forecast is not None and families == {"mlp"} and model.layers is None)
    if linear and fitted.forecast:
        space["model.centering"] = Interval(choice=("last", "mean", "standardize", "none"))
        if len({number.column for number in fitted.numbers}) > 1:
            space["model.channel_mixing"] = Interval(choice=(False, True))
    if linear:
        return space
    layers: tuple[int, int] = (1, 4)
    widths: tuple[int, ...] = (64, 128, 192, 256)
    if families != {"mlp"}:  # each step or pixel goes through them
        layers, widths = ((2, 4), (16, 32, 64)) if families == {"cnn"} else ((1, 3), (32, 64, 128))
    space |= {
        "model.dropout": Interval(uniform=(0.0, 0.5)),
        "model.width": Interval(choice=widths),
        "model.layers": Interval(int=layers),
    }
    if families == {"mlp"} and fitted.columns and not fitted.forecast:
        space["model.bins"] = Interval(choice=(0, 16, 64, 128))
    if "rnn" in families:
        space["model.cell"] = Interval(choice=("gru", "lstm"))
    if fitted.images:
        space["train.augment.shift"] = Interval(uniform=(0.0, 0.15))
    if fitted.texts:
        space["train.augment.token_dropout"] = Interval(uniform=(0.0, 0.3))
    return space


def suggested(space: Mapping[str, Interval], suggest: Suggest, given: Mapping[str, Any]) -> Values:
    """The values of a trial: those `given`, and the others as suggested, key by key, as far as their conditions hold.

    Args:
        suggest: called with a name and a range; a list's items are called `model.width[0]`, `model.width[1]`, ...
    """
    values: Values = {}
    for key in ordered(space):
        interval = space[key]
        if key in given:
            values[key] = given[key]
        elif all(values.get(other) in allowed for other, allowed in interval.when.items()):
            if interval.each is None:
                values[key] = suggest(key, interval)
            elif (count := values.get(interval.each)) is not None:  # a depth left to the network cannot be counted
                values[key] = [suggest(f"{key}[{at}]", interval) for at in range(count)]
    return values


def ordered(space: Mapping[str, Interval]) -> list[str]:
    """The keys in their order, each after those that its conditions name."""
    done: dict[str, None] = {}

    def put(key: str) -> None:
        for other in _needs(space[key]):
            put(other)
        done.setdefault(key)

    for key in space:
        put(key)
    return list(done)


def _needs(interval: Interval) -> Iterator[str]:
    yield from interval.when
    if interval.each is not None:
        yield interval.each


def flat(values: Mapping[str, Any]) -> dict[str, Scalar]:
    """The same by Optuna's names: `{model.width: [64, 32]}` is `{model.width[0]: 64, model.width[1]: 32}`."""
    found: dict[str, Scalar] = {}
    for key, value in values.items():
        found |= {f"{key}[{at}]": item for at, item in enumerate(value)} if isinstance(value, list | tuple) else {key: value}
    return found


def gathered(params: Mapping[str, Any], space: Mapping[str, Interval]) -> Values:
    """Values by key of the space from values by Optuna's names."""
    values: Values = {}
    for key in ordered(space):
        if space[key].each is None:
            values |= {key: params[key]} if key in params else {}
        elif items := [params[name] for at in range(len(params)) if (name := f"{key}[{at}]") in params]:
            values[key] = items
    return values


def inside(space: Mapping[str, Interval], values: Mapping[str, Any]) -> Values:
    """Those of the values that lie in their range; the others are no part of what Optuna learns from."""
    return {key: value for key, value in values.items() if value is not None and space[key].holds(value)}


def told(interval: Interval) -> str:
    """A range in words: `0.0003 to 0.01, log`."""
    if interval.choice:
        text = " | ".join(map(str, interval.choice))
    else:
        low, high = interval.ends
        text = f"{low:g} to {high:g}" + (", log" if interval.log else "" if interval.uniform else ", whole")
    text += f"; one for each of {interval.each}" if interval.each else ""
    for other, allowed in interval.when.items():
        text += f"; where {other} is {' or '.join(map(str, allowed))}"
    return text
