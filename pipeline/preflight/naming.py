"""Names in params.yaml that must be names in the data: of columns, and of the target's classes.

Which keys hold such names is said where they are declared: `config.COLUMN` and `config.LABEL` mark them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel

from pipeline.config import COLUMN, LABEL, Params

LISTED = 30  # names that a message lists
Keys = tuple[str | int, ...]


def marked(params: Params, mark: str) -> Iterator[tuple[Keys, str]]:
    """Every name of a kind that params hold, with its key: `(("split", "by"), "person")`."""
    yield from _within(params, mark, ())


def _within(section: BaseModel, mark: str, above: Keys) -> Iterator[tuple[Keys, str]]:
    for name, field in type(section).model_fields.items():
        value, keys = getattr(section, name), (*above, field.alias or name)
        if isinstance(value, BaseModel):
            yield from _within(value, mark, keys)
        else:
            kind = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
            yield from _named(value, kind, mark, keys)


def _named(value: Any, kind: Any, mark: str, keys: Keys) -> Iterator[tuple[Keys, str]]:
    """The names in a value of a type: itself, its items or its keys, as the type is marked."""
    if value is None or isinstance(kind, str):
        return
    if get_origin(kind) is Annotated:
        kind, *marks = get_args(kind)
        if mark in [each for each in marks if isinstance(each, str)]:
            if isinstance(value, Mapping):
                yield from (((*keys, name), name) for name in value)
            elif isinstance(value, str):
                yield keys, value
    for inner in get_args(kind):
        if get_origin(kind) is tuple and isinstance(value, tuple):
            if inner is not Ellipsis:
                for at, item in enumerate(value):
                    yield from _named(item, inner, mark, (*keys, at))
        elif isinstance(value, Mapping) and get_origin(kind) is not None and issubclass(_plain(get_origin(kind)), Mapping):
            for name, item in value.items() if inner is get_args(kind)[-1] else ():
                yield from _named(item, inner, mark, (*keys, name))
        elif _fits(value, inner):
            yield from _named(value, inner, mark, keys)


def _plain(origin: Any) -> type:
    return origin if isinstance(origin, type) else object


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value may be of a member of a union."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    origin = get_origin(kind) or kind
    return isinstance(origin, type) and isinstance(value, origin)


def unknown_columns(params: Params, columns: Sequence[str], before: Sequence[str]) -> list[tuple[Keys, str]]:
    """A message for each name of a column that is none of the data's, with its key.

    Args:
        columns: of the table; before: of the source, from which data.series makes it.
    """
    kept = set(params.serve.keep)  # of a request, which may have more columns than the data
    wrong = []
    for keys, name in marked(params, COLUMN):
        there = before if keys[:2] == ("data", "series") else columns
        if name not in there and not (keys[0] == "serve" and name in kept):
            wrong.append((keys, _told(keys, name, there, "column", "columns")))
    return wrong


def unknown_labels(params: Params, classes: Sequence[str]) -> list[str]:
    """A message for each name of a class that no row has; spellings that differ in case alone are one class."""
    folded = {name.strip().casefold() for name in classes}
    named = marked(params, LABEL)
    return [_told(keys, name, classes, "class", "classes") for keys, name in named if name.strip().casefold() not in folded]


def _told(keys: Keys, name: str, there: Sequence[str], one: str, all_: str) -> str:
    key = ".".join(str(part) for part in keys if not isinstance(part, int))
    return f"{key}: {f'no such {one}' if keys[-1] == name else f'no {one} {name!r}'}{hint(name, there, all_)}"


def hint(name: str, there: Sequence[str], what: str) -> str:
    """The nearest name, and those that there are."""
    folded = {each.strip().casefold(): each for each in reversed(there)}
    near = difflib.get_close_matches(name.strip().casefold(), folded, n=1, cutoff=0.6)
    more = f" and {len(there) - LISTED} more" if len(there) > LISTED else ""
    return (f"; did you mean {folded[near[0]]!r}?" if near else ";") + f" {what} are {', '.join(there[:LISTED])}{more}"


def without(params: Params, columns: Sequence[str]) -> Params:
    """`params` with the entries by column that name none of `columns` left out, so that the rest can be looked at."""
    data, clean = params.data, params.clean
    kept = {name: {k: v for k, v in getattr(data, name).items() if k in columns} for name in ("columns", "missing_in")}
    return params.model_copy(
        update={
            "data": data.model_copy(update=kept),
            "clean": clean.model_copy(update={"ranges": {k: v for k, v in clean.ranges.items() if k in columns}}),
        }
    )
