"""The data at a glance: kinds, missing values, the target, the sides, and a picture of each column that matters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.data.quality_page import bars, number, percent
from pipeline.run_page.reading import Row, cut, value

CARDS = 12  # columns that are drawn
LISTED = 60  # columns in the table
BARS = 12  # classes of the target that are drawn
TOPS = 4  # categories of a column
SIDES = ("train", "validation", "test", "production")


@dataclass(frozen=True)
class Bar:
    """A part of a whole: its width in percent of the largest, its share of all, and how it is told."""

    name: str
    width: float
    text: str


@dataclass(frozen=True)
class Card:
    """A column as a small picture: a histogram, bars, thumbnails, or words alone."""

    name: str
    kind: str
    facts: str
    shape: str = ""
    ends: tuple[str, str] = ("", "")
    bars: tuple[Bar, ...] = ()
    thumbnails: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Glance:
    """All of it."""

    tiles: tuple[tuple[str, str], ...]
    """Figure and what it counts."""
    kinds: tuple[Bar, ...]
    target: tuple[Bar, ...]
    target_shape: Card | None
    more_classes: int
    sides: tuple[tuple[Bar, str], ...]
    """Each side, and its target in words."""
    cards: tuple[Card, ...]
    columns: tuple[Mapping[str, str], ...]
    more_columns: int
    warned: int = 0
    rejects: tuple[tuple[str, int], ...] = field(default=())


def glance(found: Mapping[str, Any], importance: Sequence[Row]) -> Glance:
    """What the page shows of the data; `importance` is evaluate's table, which says what columns matter."""
    quality, schema, split = found["quality"], found["schema"], found["split"]
    columns, rows = quality["columns"], quality["rows"]
    missing = sum(column.get("missing", 0) for column in columns.values())
    cells = rows["kept"] * sum("missing" in column for column in columns.values())
    used = [name for name in columns if name != schema["target"] and name not in found["preprocessor"]["set_aside"]]
    names = ordered(used, importance)
    classes = quality["target"].get("classes", {})
    target = columns.get(schema["target"])
    return Glance(
        tiles=(
            (number(rows["kept"]), "rows" if not rows["dropped"] else f"rows kept of {number(rows['read'])}"),
            (number(len(columns)), f"columns, {number(len(used))} of them used" if schema["task"] != "forecast" else "columns"),
            (percent(missing / cells) if cells else "0%", "of all cells missing"),
            (number(rows["duplicates"]), "rows equal to an earlier one"),
        ),
        kinds=_kinds(columns),
        target=_counted(classes, BARS),
        target_shape=None if classes or target is None else card(schema["target"], target, rows["kept"]),
        more_classes=max(0, len(classes) - BARS),
        sides=_sides(split),
        cards=tuple(card(name, columns[name], rows["kept"]) for name in names[:CARDS]),
        columns=tuple(_told(name, columns[name], found) for name in list(columns)[:LISTED]),
        more_columns=max(0, len(columns) - LISTED),
        warned=sum(bool(column.get("warnings")) for column in columns.values()),
        rejects=tuple(list(quality["rejects"].items())[:8]),
    )


def ordered(names: Sequence[str], importance: Sequence[Row]) -> list[str]:
    """Names, those first that the network's answers rest on most."""
    weights = {row["name"]: value(row, "loss_increase") for row in importance if row.get("columns") == "1"}
    known = {name: weight for name, weight in weights.items() if math.isfinite(weight)}
    return sorted(names, key=lambda name: -known.get(name, 0.0))


def card(name: str, column: Mapping[str, Any], rows: int) -> Card:
    """The picture of a column."""
    facts = []
    if column.get("missing"):
        facts.append(f"{percent(column['missing'] / rows) if rows else column['missing']} missing")
    if "distinct" in column:
        facts.append(f"{number(column['distinct'])} distinct")
    for key, unit in (("characters", "characters"), ("steps", "steps"), ("seconds", "s")):
        if key in column:
            facts.append(f"{number(column[key][0])} to {number(column[key][-1])} {unit}")
    if "pixels" in column:
        facts.append(", ".join(map(str, column["pixels"][:2])))
    made: dict[str, Any] = {"name": name, "kind": column["kind"], "facts": " · ".join(facts)}
    made["warnings"] = tuple(column.get("warnings", ()))[:2]
    histogram, top = column.get("histogram"), column.get("top")
    if "thumbnails" in column:
        return Card(**made, thumbnails=tuple(column["thumbnails"][:8]))
    if top and (not histogram or column.get("distinct", 0) <= TOPS):
        return Card(**made, bars=_of_all([(str(number(one)), count) for one, count in top[:TOPS]], rows))
    if histogram and histogram.get("counts"):
        ends = (column["min"], column["max"]) if column["kind"] == "datetime" else (histogram["low"], histogram["high"])
        return Card(**made, shape=bars(histogram["counts"]), ends=(number(ends[0]), number(ends[1])))
    return Card(**made, examples=tuple(str(number(one)) for one in column.get("examples", ())[:2]))


def _of_all(counts: Sequence[tuple[str, int]], rows: int) -> tuple[Bar, ...]:
    most = max((count for _, count in counts), default=0) or 1
    return tuple(Bar(name, round(100 * count / most, 1), percent(count / rows) if rows else "") for name, count in counts)


def _counted(counts: Mapping[str, int], most: int) -> tuple[Bar, ...]:
    """The largest parts of a whole."""
    total = sum(counts.values()) or 1
    largest = sorted(counts.items(), key=lambda item: -item[1])[:most]
    first = largest[0][1] if largest and largest[0][1] else 1
    return tuple(Bar(name, round(100 * count / first, 1), f"{number(count)} ({percent(count / total)})") for name, count in largest)


def _kinds(columns: Mapping[str, Mapping[str, Any]]) -> tuple[Bar, ...]:
    counts: dict[str, int] = {}
    for column in columns.values():
        counts[column["kind"]] = counts.get(column["kind"], 0) + 1
    return tuple(Bar(kind, round(100 * n / len(columns), 2), str(n)) for kind, n in sorted(counts.items(), key=lambda item: -item[1]))


def _sides(split: Mapping[str, Any]) -> tuple[tuple[Bar, str], ...]:
    sides = {name: split["sides"][name] for name in SIDES if name in split["sides"]}
    total = sum(side["rows"] for side in sides.values()) or 1
    made = []
    for name, side in sides.items():
        groups = f" of {number(side['groups'])} groups" if side.get("groups") not in (None, side["rows"]) else ""
        bar = Bar(name, round(100 * side["rows"] / total, 2), f"{number(side['rows'])} rows{groups}")
        made.append((bar, _target(side)))
    return tuple(made)


def _target(side: Mapping[str, Any]) -> str:
    if "classes" in side:
        counts = sorted(side["classes"].items(), key=lambda item: -item[1])[:3]
        parts = ", ".join(f"{cut(name, 24)} ({percent(count / side['rows'])})" for name, count in counts if side["rows"])
        return parts + (f" and {len(side['classes']) - 3} more classes" if len(side["classes"]) > 3 else "")
    mean = side.get("target_mean")
    return "" if mean is None else f"mean {number(mean)}"


def _told(name: str, column: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, str]:
    aside = found["preprocessor"]["set_aside"].get(name)
    used = "target" if name in found["schema"].get("targets", [found["schema"]["target"]]) else f"set aside: {aside}" if aside else "yes"
    unreadable = f" ({number(column['unreadable'])} unreadable)" if column.get("unreadable") else ""
    missing = f"{number(column['missing'])}{unreadable}" if "missing" in column else "–"
    return {"name": name, "kind": column["kind"], "missing": missing, "used": used}
