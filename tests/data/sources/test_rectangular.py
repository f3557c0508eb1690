"""Typed files keep their types; JSON becomes columns."""

from __future__ import annotations

import datetime
import decimal
import json

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from pipeline.errors import UserError

DAY = datetime.datetime(2020, 1, 2)
TABLE = pa.table(
    {"i": [1, None], "f": [1.5, float("inf")], "t": ["x", ""], "b": [True, None], "d": pa.array([DAY, None], pa.timestamp("us"))}
)


def stream(table, file):
    with pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)


@pytest.mark.parametrize(
    ("name", "kind", "write"),
    [
        ("rows.parquet", "parquet", pq.write_table),
        ("it's [a] *.pq", "parquet", pq.write_table),
        ("rows.feather", "arrow", pyarrow.feather.write_feather),
        ("rows.arrow", "arrow", stream),
    ],
)
def test_types_are_kept(backend, read, tmp_path, name, kind, write):
    write(TABLE, tmp_path / name)
    source = read(tmp_path / name)
    assert backend.to_pyarrow(source.table).to_pylist() == TABLE.to_pylist()
    assert source.found["kind"] == kind


NESTED = pa.table(
    {
        "w": pa.array([["p", "q"], []], pa.list_(pa.string())),
        "l": pa.array([[1, 2], None], pa.list_(pa.int32())),
        "s": pa.array([{"in": {"a": "x", "n": 1}}, None]),
        "m": pa.array([[("k", "v")], None], pa.map_(pa.string(), pa.string())),
        "c": pa.array(["x", None]).dictionary_encode(),
        "d": pa.array([decimal.Decimal("1.50"), None], pa.decimal128(12, 2)),
        "t": pa.array([datetime.time(9, 30), None], pa.time64("us")),
    }
)


@pytest.mark.parametrize("name", ["rows.parquet", "rows.arrow", "load.py"])
def test_nested_columns_are_read_as_those_of_json(rows, tmp_path, name):
    if name == "load.py":
        pq.write_table(NESTED, tmp_path / "kept.bin")
        (tmp_path / name).write_text(f"import pyarrow.parquet as pq\ndef load(): return pq.read_table({str(tmp_path / 'kept.bin')!r})\n")
    else:
        (pq.write_table if name == "rows.parquet" else stream)(NESTED, tmp_path / name)
    assert rows(tmp_path if name == "load.py" else tmp_path / name) == [
        {"w": "[p, q]", "l": [1.0, 2.0], "s.in.a": "x", "s.in.n": 1, "m": "{k=v}", "c": "x", "d": 1.5, "t": "09:30:00"},
        {"w": "[]", "l": None, "s.in.a": None, "s.in.n": None, "m": None, "c": None, "d": None, "t": None},
    ]


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
@pytest.mark.parametrize("names", [["a", "a"], ["Age", "age"]])
def test_columns_must_differ_in_more_than_case(read, tmp_path, names, ending):
    table = pa.table([[1], [2]], names=names)
    (pq.write_table if ending == "parquet" else stream)(table, tmp_path / f"rows.{ending}")
    with pytest.raises(UserError, match=f"columns '{names[0]}' and '{names[1]}' have the same name"):
        read(tmp_path / f"rows.{ending}")


@pytest.mark.parametrize(("name", "kind"), [("rows.parquet", "Parquet"), ("rows.arrow", "Arrow"), ("rows.json", "JSON")])
@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"PAR1" + b"x" * 50, b"ARROW1\0\0" + b"x" * 50])
def test_other_content_is_one_clear_line(read, tmp_path, name, kind, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=rf"^data.source: .*{name}: (not readable as {kind}: |line 1 holds a NUL byte)") as caught:
        read(tmp_path / name)
    assert "\n" not in str(caught.value)


OBJECTS = [
    {"a": 1, "b": "007", "c": {"d": 1.5, "e": {"f": "x"}}, "l": [1, 2], "w": ["p", "q"]},
    {"a": None, "b": "é", "c": None, "l": [3.5], "w": []},
    {"b": "", "n": True, "c": {"d": 2}},
]


@pytest.mark.parametrize("name", ["rows.json", "rows.jsonl", "rows.ndjson"])
@pytest.mark.parametrize("form", ["lines", "array", "bom"])
def test_json_objects_are_rows_and_nested_ones_columns(rows, tmp_path, name, form):
    text = json.dumps(OBJECTS, indent=1) if form == "array" else "\n".join(json.dumps(each, ensure_ascii=False) for each in OBJECTS)
    (tmp_path / name).write_bytes(text.encode("utf-8-sig" if form == "bom" else "utf-8"))
    assert rows(tmp_path / name) == [
        {"a": 1, "b": "007", "c.d": 1.5, "c.e.f": "x", "l": [1.0, 2.0], "w": "[p, q]", "n": None},
        {"a": None, "b": "é", "c.d": None, "c.e.f": None, "l": [3.5], "w": "[]", "n": None},
        {"a": None, "b": "", "c.d": 2.0, "c.e.f": None, "l": None, "w": None, "n": True},
    ]


def test_json_values_of_several_types_are_text(rows, tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"a": 1}\n{"a": "x"}\n{"a": {"b": 2}}\n{"a": null}\n')
    assert [row["a"] for row in rows(tmp_path / "rows.jsonl")] == ["1", "x", '{"b":2}', None]


def test_json_field_that_appears_late_is_a_column(rows, tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"a": 1}\n' * 50_000 + '{"a": 2.5, "late": "x"}\n')
    found = rows(tmp_path / "rows.jsonl")
    assert (len(found), found[-1]) == (50_001, {"a": 2.5, "late": "x"})


def test_broken_json_names_the_line(read, tmp_path):
    (tmp_path / "rows.jsonl").write_text('{"a": 1}\n{"a": \n')
    with pytest.raises(UserError, match=r"rows.jsonl: not readable as JSON: .*Malformed JSON .* in line 3"):
        read(tmp_path / "rows.jsonl")


def test_several_files_are_one_table_whatever_the_order_of_columns(rows, read, tmp_path):
    pq.write_table(pa.table({"a": [1], "b": ["x"]}), tmp_path / "one.parquet")
    pq.write_table(pa.table({"b": ["y"], "a": [2.5]}), tmp_path / "two.parquet")
    found = [{"a": 1.0, "b": "x", "source_file": "one.parquet"}, {"a": 2.5, "b": "y", "source_file": "two.parquet"}]
    assert sorted(rows(tmp_path, files="*.parquet"), key=lambda row: row["a"]) == found
    pq.write_table(pa.table({"b": ["y"], "c": [2.5]}), tmp_path / "zwei.parquet")
    with pytest.raises(UserError, match=r"zwei.parquet: expected the columns of one.parquet, but they differ in 'a', 'c'"):
        read(tmp_path, files="*.parquet")
