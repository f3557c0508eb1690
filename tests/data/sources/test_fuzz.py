"""Thousands of generated files: each ends in its rows, none lost and none invented, or in one clear error.

They are the same in each run; with FUZZ_RANDOM=1 in the environment each run makes others.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.config import DataParams
from pipeline.data.sources import dispatch
from pipeline.errors import UserError

pytestmark = pytest.mark.slow

CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "latin-1", "windows-1252")
PLAIN = st.text("abcxyz019.-_ é", max_size=8)
NASTY = st.text("ab1,;\t|: \"'\n#é\\%", max_size=8)


def fuzzed(examples):
    fixed = "FUZZ_RANDOM" not in os.environ
    return settings(max_examples=examples, deadline=None, suppress_health_check=CHECKS, derandomize=fixed, database=None)


def outcome(backend, content, name="rows.csv", **params):
    """The rows and the number of rejected ones, or None where there is one clear error."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / name
        file.write_bytes(content)
        workspace = Path(folder) / "workspace"
        workspace.mkdir()
        caught = None
        try:
            source = dispatch.read(backend, DataParams(source=str(file), **{"target": "goal", **params}), workspace=workspace)
        except UserError as error:
            caught = error
        if caught is not None:
            assert len(caught.messages) == 1, caught
            assert "\n" not in str(caught), caught
            assert str(caught).startswith("data."), caught
            return None
        rejected = backend.to_pyarrow(backend.read_parquet(source.rejects)).num_rows if source.rejects else 0
        table = backend.to_pyarrow(source.table)
        return table, rejected, source.found


@st.composite
def written(draw, values):
    """A table as a text file: its bytes, its rows, and how it is written."""
    width = draw(st.integers(2, 5))
    rows = draw(st.lists(st.lists(values, min_size=width, max_size=width), max_size=25))
    delimiter, quote = draw(st.sampled_from([",", ";", "\t", "|", ":"])), draw(st.sampled_from(['"', "'"]))
    end, encoding = draw(st.sampled_from(["\n", "\r\n", "\r"])), draw(st.sampled_from(ENCODINGS))
    # Python's writer leaves \n bare where lines end in \r
    quoting = csv.QUOTE_ALL if end == "\r" else draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, quotechar=quote, quoting=quoting, lineterminator=end)
    writer.writerow(["goal", *(f"name {at}" for at in range(1, width))])
    writer.writerows(rows)
    text = out.getvalue()
    if draw(st.booleans()):
        text = text.removesuffix(end)
    return text.encode(encoding), rows, {"delimiter": delimiter, "quote": quote, "encoding": encoding}


@fuzzed(700)
@given(st.data())
def test_a_table_written_by_a_known_dialect_comes_back_value_by_value(backend, data):
    content, rows, dialect = data.draw(written(NASTY))
    found = outcome(backend, content, csv={**dialect, "header": 1, "skip": 0, "comment": ""})
    assert found is not None
    table, rejected, _ = found
    assert rejected == 0
    read = [[value or "" for value in row.values()] for row in table.to_pylist()]
    assert read == rows


@fuzzed(700)
@given(st.data())
def test_a_plain_table_comes_back_with_nothing_told(backend, data):
    content, rows, dialect = data.draw(written(PLAIN))
    found = outcome(backend, content)
    assert found is not None
    table, rejected, told = found
    assert rejected == 0
    assert [[value or "" for value in row.values()] for row in table.to_pylist()] == rows
    assert told["delimiter"] == dialect["delimiter"]


@fuzzed(500)
@given(st.data())
def test_what_is_sniffed_reads_as_python_reads_it(backend, data):
    """Bytes cut, changed and put in: whatever is made of them, each record is a row or a rejected one."""
    content, _, _ = data.draw(written(st.one_of(PLAIN, NASTY)))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(content)))
        cut = data.draw(st.integers(0, 3))
        content = (
            content[:at] + data.draw(st.sampled_from([b"", b",", b"\n", b'"', b"\0", b"\xff", b"a,b\n", b"'", b"\r"])) + content[at + cut :]
        )
    found = outcome(backend, content, csv={"ragged": "reject"})
    if found is None:
        return
    table, rejected, told = found
    text = io.StringIO(content.decode(told["encoding"]).lstrip("\ufeff"), newline="")
    for _ in range(told["skip"]):
        next(text)
    quoting = {"quotechar": told["quote"]} if told["quote"] else {"quoting": csv.QUOTE_NONE}
    records = [row for row in csv.reader(text, delimiter=told["delimiter"], **quoting) if len(row) > 1 or (row and row[0].strip())]
    assert table.num_rows + rejected == len(records) - told["header"]


@fuzzed(300)
@given(
    st.binary(max_size=300) | st.text(max_size=200).map(str.encode),
    st.sampled_from(["csv", "tsv", "txt", "json", "jsonl", "parquet", "arrow", "ts", "zip", "tar.gz", "csv.gz", "png", "xyz"]),
)
def test_any_bytes_by_any_name_end_well(backend, content, ending):
    outcome(backend, content, f"rows.{ending}")
    if ending == "csv.gz":
        outcome(backend, gzip.compress(content), f"rows.{ending}")
    if ending == "zip":
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("rows.csv", content)
        outcome(backend, packed.getvalue(), "rows.zip")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | PLAIN
    | NASTY
    | st.just("2020-01-01"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=6,
)


@fuzzed(300)
@given(st.lists(st.dictionaries(st.sampled_from(["goal", "x", "y z"]), JSON, min_size=1), min_size=1, max_size=15), st.booleans())
def test_json_objects_are_rows(backend, objects, lines):
    text = "\n".join(map(json.dumps, objects)) if lines else json.dumps(objects)
    found = outcome(backend, text.encode(), "rows.json")
    assert found is None or found[0].num_rows == len(objects)


@fuzzed(20)
@given(st.integers(1 << 20, 6 << 20), st.sampled_from(["x", ",", "\n", '""', "1,2\n"]), st.integers(0, 3000))
def test_huge_values_are_read_whole(backend, size, unit, before):
    value = unit * (size // len(unit))
    content = "goal,b\n" + "1,2\n" * before + f'1,"{value}"\n' + "3,4\n" * before
    table, rejected, _ = outcome(backend, content.encode())
    assert (table.num_rows, rejected) == (2 * before + 1, 0)
    assert table["b"][before].as_py() == value.replace('""', '"')
