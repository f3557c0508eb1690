"""Bodies to tables: MLflow's forms, what is refused and in which words, and that the package reads what came."""

from __future__ import annotations

import io
import json
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mlflow.utils.proto_json_utils import dataframe_from_parsed_json

from pipeline.data.frozen import TYPES, _typed
from pipeline.serving.about import About
from pipeline.serving.forms import ARROW, CSV, JSON, PARQUET, Unreadable, table, unread


def about(whole: bool = False, **raw: str) -> About:
    return About(
        name="visits", version="3", columns=tuple(raw), raw=raw, kinds=raw, missing=dict.fromkeys(raw, ("?", "NA")), reference={},
        outputs={"prediction": "double"}, task="regression", classes=(), whole=whole, example=(),
    )  # fmt: skip


TWO = about(age="number", city="text")
ROWS = [{"age": 31, "city": "Bern"}, {"age": None, "city": "Oslo"}]
SAME = {
    "split": {"dataframe_split": {"columns": ["age", "city"], "data": [[31, "Bern"], [None, "Oslo"]]}},
    "split with index": {
        "dataframe_split": {"columns": ["x", "city", "age"], "data": [[1, "Bern", 31], [2, "Oslo", None]], "index": [7, 8]}
    },
    "records": {"dataframe_records": ROWS},
    "records and params": {"dataframe_records": ROWS, "params": {"a": 1}, "further": 2},
    "instances": {"instances": ROWS},
    "instances in order": {"instances": [[31, "Bern"], [None, "Oslo"]]},
    "inputs": {"inputs": {"city": ["Bern", "Oslo"], "age": [31, None], "x": [0]}},
    "inputs as rows": {"inputs": ROWS},
    "bare": ROWS,
}


def sent(found: object, to: About = TWO, **more: object) -> pa.Table:
    return table(json.dumps(found).encode(), JSON, to, **more)


def refusal(body: bytes, kind: str | None = JSON, to: About = TWO) -> Unreadable:
    with pytest.raises(Unreadable) as caught:
        table(body, kind, to)
    return caught.value


@pytest.mark.parametrize("form", SAME)
def test_every_form_gives_the_same_rows(form):
    found = sent(SAME[form])
    assert found.schema == pa.schema({"age": pa.float64(), "city": pa.string()})
    assert found.to_pylist() == [{"age": 31.0, "city": "Bern"}, {"age": None, "city": "Oslo"}]


@pytest.mark.parametrize("form", ["split", "split with index", "records"])
def test_a_form_gives_what_mlflow_reads_of_it(form):
    (kind, rows), *_ = SAME[form].items()
    theirs = dataframe_from_parsed_json(rows, kind.removeprefix("dataframe_"))
    ours = sent(SAME[form]).to_pandas()
    pd.testing.assert_frame_equal(ours, theirs[["age", "city"]].reset_index(drop=True))


def test_one_row_may_come_as_scalars_or_as_an_object():
    for one in ({"inputs": {"age": 31, "city": "Bern"}}, {"age": 31, "city": "Bern", "x": {}}):
        assert sent(one).to_pylist() == [{"age": 31.0, "city": "Bern"}]


def test_no_rows_are_a_table_of_none():
    for none in ({"dataframe_records": []}, {"instances": []}, {"dataframe_split": {"columns": ["age", "city"], "data": []}}):
        assert sent(none).schema.types == [pa.float64(), pa.string()]
        assert len(sent(none)) == 0


def test_a_single_column_may_come_as_its_values():
    assert sent({"instances": [1, 2]}, about(a="number")).to_pydict() == {"a": [1.0, 2.0]}
    assert sent({"instances": [[1], [2]]}, about(a="number")).to_pydict() == {"a": [1.0, 2.0]}
    assert sent({"instances": [[1, 2], [3]]}, about(a="list")).to_pydict() == {"a": [[1.0, 2.0], [3.0]]}


def test_further_columns_come_as_text_where_they_are_asked_for():
    body = {"dataframe_records": [ROWS[0] | {"id": 7, "tags": ["a"]}, ROWS[1] | {"id": 3.0}]}
    found = sent(body, keep=("id", "tags", "who", "age", "id"))
    assert found.column_names == ["age", "city", "id", "tags", "who"]
    assert found.select(["id", "tags", "who"]).to_pydict() == {"id": ["7", "3"], "tags": ['["a"]', None], "who": [None, None]}
    by_csv = table(b"id,city,age\n7,Bern,31\n", CSV, TWO, keep=("id", "who"))
    assert by_csv.to_pylist() == [{"age": 31.0, "city": "Bern", "id": "7", "who": None}]


def test_nan_and_infinity_are_taken_as_mlflow_takes_them():
    found = table(b'[{"age": NaN, "city": "x"}, {"age": -Infinity, "city": NaN}, {"age": 1e999, "city": null}]', JSON, TWO)
    assert found.to_pydict() == {"age": [None, -np.inf, np.inf], "city": ["x", None, None]}


def test_the_last_of_equal_keys_holds_and_a_byte_order_mark_is_no_part_of_the_body():
    assert table(b'\xef\xbb\xbf[{"age": 1, "age": 2, "city": "x"}]', "Application/JSON; charset=UTF-8", TWO)["age"].to_pylist() == [2.0]


BAD = {
    b"": (400, "the body is empty; expected a JSON object with exactly one of dataframe_split, "),
    b"\xff": (400, "expected UTF-8 text, got the byte 0xff at position 0"),
    b'{"a": 1,}': (400, "expected JSON, got "),
    b"1" * 5000: (400, "expected JSON, got a number of too many digits"),
    b"[" * 100_000: (400, "the body is nested too deeply to be rows"),
    b'{"a":' * 100_000: (400, "the body is nested too deeply to be rows"),
    b"7": (400, "inputs, got 7"),
    b"[]": (400, "got a list of 0"),
    b"[1]": (400, "got a list of 1"),
    b"{}": (400, "got an object of none"),
    b'{"instances": [], "inputs": []}': (400, "got instances and inputs"),
    b'{"dataframe_records": {}}': (400, "dataframe_records: expected a list of rows, got an object"),
    b'{"dataframe_records": [[1, "x"]]}': (400, "dataframe_records, row 0: expected an object of columns, got a list of 2"),
    b'{"inputs": 1}': (400, "inputs: expected an object of columns or a list of rows, got 1"),
    b'{"inputs": {"age": [1, 2], "city": ["x"]}}': (
        400,
        "inputs, column city: expected as many values as there are in all columns, 2 as age",
    ),
    b'{"inputs": {"age": [1], "city": "x"}}': (400, 'inputs, column city: expected a list of values, as other columns have, got "x"'),
    b'{"instances": [[1, "x"], [1]]}': (400, "instances, row 1: expected 2 values, of age, city, got 1 values"),
    b'{"instances": [1, {"age": 1}]}': (400, "instances, row 0: expected 2 values, of age, city, got 1"),
    b'{"dataframe_split": {"data": []}}': (
        400,
        "dataframe_split: expected an object of columns, data and, if need be, index, got an object of data",
    ),
    b'{"dataframe_split": [[1, 2]]}': (400, "got a list of 1"),
    b'{"dataframe_split": {"columns": ["age", 7], "data": []}}': (400, "dataframe_split, columns: expected a list of names"),
    b'{"dataframe_split": {"columns": ["age", []], "data": []}}': (400, "dataframe_split, columns: expected a list of names"),
    b'{"dataframe_split": {"columns": ["age", "city"], "data": [[1, "x"], [1]]}}': (
        400,
        "data, row 1: expected 2 values, one a column, got 1",
    ),
    b'{"dataframe_split": {"columns": ["age", "city"], "data": [5]}}': (400, "data, row 0: expected a list of values, got 5"),
    b'{"dataframe_split": {"columns": ["age", "city"], "data": [[1, "x"]], "index": []}}': (400, "index: expected a list of 1, one a row"),
    b'{"dataframe_split": {"columns": ["age", "city", "age"], "data": []}}': (400, "expected each column once, got age more than once"),
    b'[{"age": [1], "city": "x"}]': (400, "column age, row 0: expected a number, got a list: [1]"),
    b'[{"age": 1, "city": "x"}, {"age": 1, "city": {"a": 1}}]': (400, 'column city, row 1: expected a text, got an object: {"a": 1}'),
    b'[{"age": 1, "city": "\\ud800"}]': (400, 'column city, row 0: expected Unicode text, got "\\ud800" with a lone surrogate'),
    b'[{"age": "\\ud800", "city": "x"}]': (400, "column age, row 0: expected Unicode text"),
    b'{"dataframe_records": [{"Aeg": 1, "city": "x"}]}': (
        422,
        "dataframe_records, row 0: missing column age (is 'Aeg' meant for it?); expected age, city",
    ),
    b'{"dataframe_records": [{"age": 1, "city": "x"}, {"age": 1}]}': (
        422,
        "row 1: missing column city; expected age, city (null where there is no value); got age",
    ),
    b'{"dataframe_split": {"columns": ["b"], "data": []}}': (
        422,
        "dataframe_split, columns: missing column age, city; expected age, city; got b",
    ),
    b'{"inputs": {"age": [1], "\\ud800": [1]}}': (422, "inputs: missing column city; expected age, city; got age, \\ud800"),
}


@pytest.mark.parametrize("body", BAD, ids=lambda body: body[:40].decode("latin-1"))
def test_what_is_no_rows_is_refused_in_words(body):
    found = refusal(body)
    status, text = BAD[body]
    assert found.status == status
    assert text in found.text


@pytest.mark.parametrize(
    "kind", [None, "", "application/octet-stream", "text/html", "text/csv; charset=latin-1", "application/json;charset=utf-16"]
)
def test_other_types_and_charsets_are_refused_with_those_that_are_taken(kind):
    found = refusal(b"{}", kind)
    assert found.status == 415
    assert "application/json, text/csv, application/vnd.apache.parquet, application/vnd.apache.arrow.stream, in UTF-8" in found.text


@pytest.mark.parametrize("body", [b"\xef\xbb\xbf", b"\x00", b",", b'"', b"'", b"\n\n,\n", b"#", b"age"])
def test_csv_without_a_header_of_the_columns_is_refused(body):
    assert refusal(body, CSV).status in (400, 422)


def test_csv_is_read_as_training_reads_text_tables():
    for body in (
        b"age,city\n31,Bern\n?,\n",
        b"\xef\xbb\xbf\r\ncity;age;x\r\n\"Bern\";31;0\r\n\r\n;;\"a\nb\"\r\n",
        b"city\tage\nBern\t31\n\tNA",
    ):  # fmt: skip
        assert table(body, CSV, TWO).to_pydict() == {"age": [31.0, None], "city": ["Bern", None]}
    assert table(b"age,city\n?,?\nold,x", CSV, TWO).to_pydict() == {"age": ["?", "old"], "city": ["?", "x"]}
    assert len(table(b"age,city\n", CSV, TWO)) == 0


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (b"age,city\n1\n", 400, "row 0: expected 2 values, one a name of the header, got 1"),
        (b'age,city\n1,x\n2,"x\n', 400, "row 1: expected CSV text, got a row that is none: a quote is opened and never closed"),
        (b"age,cty\n1,x\n", 422, "the header: missing column city (is 'cty' meant for it?); expected age, city; got age, cty"),
        (b"age,city,age\n1,x,2\n", 400, "expected each column once, got age more than once"),
        (b"age,city\n\xff,x\n", 400, "expected UTF-8 text, got the byte 0xff at position 9"),
        (b'{"age": 1, "city": "x"}', 422, "the header: missing column age, city"),
    ],
)
def test_csv_that_is_no_rows_is_refused_in_words(body, status, text):
    found = refusal(body, CSV)
    assert (found.status, text in found.text) == (status, True), found.text


def parquet(rows: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(rows, sink)
    return sink.getvalue()


def stream(rows: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return sink.getvalue()


ARROWS = [(parquet, PARQUET), (stream, ARROW)]


@pytest.mark.parametrize(("write", "kind"), ARROWS)
def test_arrow_tables_are_read_by_their_types(write, kind):
    of = about(a="number", b="text", c="boolean", d="datetime", e="binary", f="list", g="text")
    time = pd.Timestamp("2020-01-02 03:04:05.000001002")
    rows = pa.table(
        {
            "g": pa.array(["x", None]).dictionary_encode(),
            "a": pa.array([1, None], pa.int32()),
            "b": pa.array([7, None]),
            "c": [True, None],
            "d": pa.array([time, None], pa.timestamp("ns", "Europe/Berlin")),
            "e": [b"\xff", None],
            "f": pa.array([[1], None], pa.list_(pa.int32())),
            "z": [0, 0],
        }
    )
    found = table(write(rows), kind, of)
    assert found.schema.types == [TYPES[raw] for raw in of.raw.values()]
    when = time.floor("us").to_pydatetime()
    assert found.to_pylist()[0] == {"a": 1.0, "b": "7", "c": True, "d": when, "e": b"\xff", "f": [1.0], "g": "x"}
    assert set(found.to_pylist()[1].values()) == {None}


@pytest.mark.parametrize(("write", "kind"), ARROWS)
def test_kept_columns_of_arrow_tables_are_text_or_refused(write, kind):
    rows = pa.table({"age": [1.0], "city": ["x"], "id": [7], "at": pa.array([2**62], pa.timestamp("us"))})
    assert table(write(rows), kind, TWO, keep=("id",))["id"].to_pylist() == ["7"]
    with pytest.raises(Unreadable, match=r"column at: expected values that have a text, got timestamp\[us\]"):
        table(write(rows), kind, TWO, keep=("at",))


@pytest.mark.parametrize(("write", "kind"), ARROWS)
def test_arrow_tables_that_cannot_be_read_are_refused(write, kind):
    assert refusal(write(pa.table({"age": [1]})), kind).status == 422
    found = refusal(write(pa.table({"age": [{"a": 1}], "city": ["x"]})), kind)
    assert (found.status, found.text) == (400, "column age: expected a number, got struct<a: int64>")
    many = pa.table({"age": pa.nulls(1_000_001, pa.float64()), "city": pa.nulls(1_000_001, pa.string())})
    assert refusal(write(many), kind).status == 413
    whole = write(pa.table({"age": [1.0] * 50, "city": ["some text"] * 50}))
    text_no_unicode = whole.replace(b"some text", b"some \xffext")
    assert refusal(text_no_unicode, kind).status == 400
    rng = np.random.default_rng(0)
    for _ in range(150):  # damaged anywhere
        body = bytearray(whole)
        for at in rng.integers(0, len(body), 3):
            body[at] = rng.integers(0, 256)
        try:
            table(bytes(body[: rng.integers(1, len(body) + 1)]), kind, TWO)
        except Unreadable as error:
            assert error.status in (400, 413, 422)  # noqa: PT017


TEXTS = st.one_of(
    st.sampled_from(["", " ", "NA", "?", "old", "1", " 2.5 ", "1e3", "inf", "nan", "1_000", "0x1", "True", "t", "f", "0", "2020-01-01"]),
    st.sampled_from(["2020-01-01 10:00", "2020-01-01T10:00:00Z", "2020-01-01T10:00:00.1234567", "1500-01-01", "01/02/2020", "13/01/2020"]),
    st.sampled_from(["2020-02-30", "2020-01-01 24:00:00", "20200101", "2020-01", "2262-04-12", "2020-01-01 10:00+05:00", "9999-12-31"]),
    st.datetimes().map(str),
    st.floats().map(repr),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)  # fmt: skip
NUMBERS = st.one_of(
    st.floats(), st.integers(-(2**70), 2**70), st.integers(-3, 3), st.booleans(), st.sampled_from([2**53 + 1, 10**18, 3.0, -0.0])
)
SCALARS = st.lists(st.one_of(st.none(), TEXTS, NUMBERS), min_size=1, max_size=5)
OF_ONE = st.one_of(st.lists(TEXTS | st.none(), min_size=1, max_size=5), st.lists(NUMBERS | st.none(), min_size=1, max_size=5))


def reading(values: pd.Series, raw: str) -> tuple[list, list]:
    odd: dict[str, np.ndarray] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas' about formats of dates
        found = _typed(values, "a", raw, ("?", "NA"), odd).to_pylist()
    odd_ones = odd.get("a", [False] * len(values))
    strange = [bool(one) and value not in ("", "nan") for one, value in zip(odd_ones, values, strict=True)]  # these are missing anyhow
    if raw == "number" and any(strange):  # such a column goes as text, of which pandas reads some numbers a last digit off
        found = [value if value is None else float(f"{value:.14g}") for value in found]
    found = [0.0 if value == 0 and raw == "number" else value for value in found]  # -0.0 beside whole numbers is 0.0 in pandas
    return [repr(value) for value in found], strange


def through(values: list, raw: str) -> tuple[list, list]:
    """What the package reads after the request has been a table, a message to its process, and a frame."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = table(json.dumps({"inputs": {"a": values}}).encode(), JSON, about(a=raw))
    return reading(found.to_pandas(types_mapper=pd.ArrowDtype)["a"], raw)


@pytest.mark.parametrize("raw", ["number", "boolean", "datetime", "text"])
@given(values=SCALARS | OF_ONE)
@settings(max_examples=150, deadline=None)
@example(values=[0.1 + 0.2, "old"])
@example(values=[5, "old", "2020-01-01"])
@example(values=["2020-01-01", "2020-01-01 10:00"])
@example(values=[0.0, "2020-01-01 10:00", "2020-01-01T10:00:00Z"])
def test_the_package_reads_what_it_reads_of_the_values_themselves(raw, values):
    values = json.loads(json.dumps(values))
    try:
        expected = reading(pd.Series(values, dtype=object), raw)
    except (OverflowError, RuntimeError):  # pandas' own, with which a package would fail: then each value stands for itself
        small = [str(value) if isinstance(value, int) and abs(value) >= 2**63 else value for value in values]
        each = [reading(pd.Series([value], dtype=object), raw) for value in small]
        expected = [found for (found,), _ in each], [odd for _, (odd,) in each]
    assert through(values, raw) == expected


def test_lists_are_taken_as_they_are_and_what_is_none_is_refused():
    of = about(a="list")
    assert sent({"inputs": {"a": [[1, None, 2.5], None, []]}}, of)["a"].to_pylist() == [[1.0, None, 2.5], None, []]
    assert sent({"inputs": {"a": [[2**60 + 1, 10**400], float("nan")]}}, of)["a"].to_pylist() == [[2.0**60, np.inf], None]
    for value in ("old", 5, ["1"], [[1]], {"a": 1}):
        with pytest.raises(Unreadable, match=r"column a, row 1: expected a list of numbers, got "):
            sent({"inputs": {"a": [[1], value]}}, of)


def test_of_one_row_a_list_is_a_value_where_the_column_has_lists():
    of = about(a="list", b="number")
    assert sent({"inputs": {"a": [1, 2], "b": 3}}, of).to_pylist() == [{"a": [1.0, 2.0], "b": 3.0}]
    assert sent({"inputs": {"a": [[1, 2]], "b": [3]}}, of).to_pylist() == [{"a": [1.0, 2.0], "b": 3.0}]
    assert sent({"inputs": {"a": [1, 2]}}, about(a="list")).to_pylist() == [{"a": [1.0, 2.0]}]
    assert sent({"inputs": {"a": [[1], [2]]}}, about(a="list")).to_pylist() == [{"a": [1.0]}, {"a": [2.0]}]


def test_pictures_stay_base64_and_what_is_no_text_is_refused():
    of = about(a="binary")
    assert sent({"inputs": {"a": ["/9j/", None]}}, of)["a"].to_pylist() == ["/9j/", None]
    for value in (5, "?!", "/9j", True):
        with pytest.raises(Unreadable, match=r"column a, row 1: expected base64 text, got "):
            sent({"inputs": {"a": ["/9j/", value]}}, of)
    assert table(b"a\n/9j/\n", CSV, of)["a"].to_pylist() == ["/9j/"]
    assert refusal(b"a\n/9j/\n/9j", CSV, of).text == 'column a, row 1: expected base64 text, got "/9j"'


def test_whole_numbers_of_any_size_are_numbers():
    assert sent([{"age": 10**400, "city": 2**70}, {"age": -(10**400), "city": 0}]).to_pydict() == {
        "age": [np.inf, -np.inf],
        "city": [str(2**70), "0"],
    }


def test_rows_of_a_forecast_keep_the_types_they_came_with():
    of = about(whole=True, week="datetime", shop="number", sold="number")
    found = sent({"inputs": {"week": ["2020-01-06", "2020-01-13"], "shop": [1, 2], "sold": [1.5, None]}}, of)
    assert found.schema.types == [pa.string(), pa.int64(), pa.float64()]
    assert found.to_pandas()["shop"].tolist() == [1, 2]
    by_csv = table(b"week,shop,sold\n2020-01-06,1,?\n", CSV, of)
    assert by_csv.to_pylist() == [{"week": "2020-01-06", "shop": "1", "sold": None}]
    mixed = sent({"inputs": {"week": [1, "x"], "shop": [True, 1], "sold": [2**80, None]}}, of)
    assert mixed.to_pydict() == {"week": ["1", "x"], "shop": ["True", "1"], "sold": [str(2**80), None]}
    with pytest.raises(Unreadable, match="column shop, row 0: expected a number, got an object"):
        sent([{"week": 1, "shop": {}, "sold": 1}], of)


def test_what_was_not_read_is_told_by_row():
    of = about(age="number", city="text", at="datetime", photo="binary", steps="list", good="boolean")
    rows = {
        "age": ["old", 3, "?"], "city": [1, None, "x"], "at": ["2020-01-01", "soon", 1], "photo": ["/9j/", None, None],
        "steps": [[1], None, []], "good": [2, "yes", True],
    }  # fmt: skip
    read, left = unread(sent({"inputs": rows}, of, keep=("id",)), of)
    assert read.schema == pa.schema({name: TYPES[raw] for name, raw in of.raw.items()})
    assert read["age"].to_pylist() == [None, 3.0, None]
    assert read["photo"].to_pylist() == [b"\xff\xd8\xff", None, None]
    assert read["good"].to_pylist() == [None, None, True]
    assert [json.loads(text) for text in left.to_pylist()] == [
        {"age": "old", "good": "2"}, {"at": "soon", "good": "yes"}, {"age": "?", "at": "1 (a number)"},
    ]  # fmt: skip


def test_where_all_is_read_nothing_is_copied():
    rows = sent(ROWS)
    read, left = unread(rows, TWO)
    assert read["age"].chunk(0).buffers()[1].address == rows["age"].chunk(0).buffers()[1].address
    assert left.to_pylist() == [None, None]


@given(body=st.binary(max_size=60), kind=st.sampled_from([JSON, CSV, PARQUET, ARROW]))
@settings(max_examples=300, deadline=None)
def test_no_body_breaks_the_server(body, kind):
    try:
        table(body, kind, TWO, keep=("id",))
    except Unreadable as error:
        assert error.status in (400, 422)  # noqa: PT017
        error.text.encode()


NAMES = st.sampled_from(["age", "city", "columns", "data", "index", "x"])
FORMS = st.sampled_from(["instances", "inputs", "dataframe_split", "dataframe_records"])
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.sampled_from(["\ud800", "age", 10**400]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(found=JSONS | st.dictionaries(FORMS, JSONS, min_size=1, max_size=1))
@settings(max_examples=500, deadline=None)
def test_no_json_breaks_the_server(found):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for of in (
            TWO,
            about(age="datetime", city="boolean"),
            about(age="list", city="binary"),
            about(whole=True, age="number", city="text"),
        ):
            try:
                rows = sent(found, of, keep=("x",))
            except Unreadable as error:
                assert error.status in (400, 422)  # noqa: PT017
            else:
                unread(rows, of)
