"""The schema as JSON, and the types that sources give."""

from __future__ import annotations

import ibis
import pytest

from pipeline.data.schema import Column, Schema, raw_type

WHOLE = Schema(
    (
        Column("t", "datetime", "datetime", "typed"),
        Column("é", "text", "number", "read", "%", ",", ".", ("-200",), 0.0, None, 3, ("a note",)),
        Column("s", "list", "sequence", "typed"),
    ),
    "é",
    "forecast",
    None,
    ("", "NA"),
    ("é", "z"),
    "clip",
    {"time": "t", "series": None, "look_back": 3, "horizon": 1},
)


def test_json_round_trip():
    assert Schema.from_json(WHOLE.to_json()) == WHOLE
    assert '"é"' in WHOLE.to_json()


def test_one_target_is_the_only_one():
    assert Schema((), "y", "binary", None, ()).targets == ("y",)


def test_column_is_found_by_name():
    assert WHOLE.column("s").kind == "sequence"


@pytest.mark.parametrize(
    ("type_", "raw"),
    [
        ("string", "text"),
        ("int8", "number"),
        ("decimal(9, 2)", "number"),
        ("boolean", "boolean"),
        ("date", "datetime"),
        ("timestamp", "datetime"),
        ("binary", "binary"),
        ("array<float64>", "list"),
        ("array<string>", "text"),
        ("time", "text"),
    ],
)
def test_raw_type_is_what_the_source_says(type_, raw):
    assert raw_type(ibis.table({"x": type_})["x"]) == raw
