"""Raw rows of every kind through the frozen files equal the arrays that normalize would write."""

from __future__ import annotations

import re
import threading
from dataclasses import replace

import duckdb
import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media_files import png, wav

from pipeline.config import NormalizeParams
from pipeline.data import arrays, cleaning, preprocessing
from pipeline.data.engine import ROW_ID, engine, read, write
from pipeline.data.frozen import Frozen, is_plain
from pipeline.data.reading import PLAIN_WORD
from pipeline.data.schema import Column, Schema
from pipeline.errors import UserError

ROWS = 80
RAW = {"number": "number", "flag": "boolean", "when": "datetime", "picture": "binary", "sound": "binary", "steps": "list"}
KINDS = {"number": "number", "town": "category", "flag": "boolean", "when": "datetime", "note": "text"}
KINDS |= {"picture": "image", "sound": "audio", "steps": "sequence"}


def raw_rows():
    rng = np.random.default_rng(0)
    gone = rng.random((8, ROWS)) < 0.1
    values = {
        "number": rng.lognormal(0, 2, ROWS).tolist(),
        "town": rng.choice(["Oslo", "OSLO", "Rome"], ROWS).tolist(),
        "flag": (rng.random(ROWS) < 0.5).tolist(),
        "when": (pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 9000, ROWS), "h")).to_pydatetime().tolist(),
        "note": [" ".join(rng.choice(["ab", "cd", "ef"], 4)) for _ in range(ROWS)],
        "picture": [png(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)) for _ in range(ROWS)],
        "sound": [wav(rng.uniform(-0.5, 0.5, 400)) for _ in range(ROWS)],
        "steps": [rng.normal(size=rng.integers(1, 6)).tolist() for _ in range(ROWS)],
    }
    types = {"number": pa.float64(), "flag": pa.bool_(), "when": pa.timestamp("us"), "picture": pa.binary(), "sound": pa.binary()}
    types |= {"steps": pa.list_(pa.float64())}
    table = {
        n: pa.array([None if g else v for v, g in zip(column, gone[at], strict=True)], types.get(n, pa.string()))
        for at, (n, column) in enumerate(values.items())
    }
    return pa.table({ROW_ID: [f"{at:04d}-0" for at in range(ROWS)], **table, "y": rng.choice(["no", "yes"], ROWS).tolist()})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The frozen preprocessing, the raw rows, and the arrays that were written for them."""
    folder = tmp_path_factory.mktemp("frozen")
    columns = [Column(name, RAW.get(name, "text"), kind, "") for name, kind in KINDS.items()]
    schema = Schema((*columns, Column("y", "text", "category", "target")), "y", "binary", None, ("",))
    rows = raw_rows()
    with engine() as backend:
        write(cleaning.clean(backend.create_table("raw", rows), schema), folder / "clean.parquet")
        params = NormalizeParams(numeric="quantile", rare_category=2, audio={"sample_rate": 8000, "mels": 8})
        fitted = preprocessing.fit(backend, read(backend, folder / "clean.parquet"), schema, params)
        arrays.write(preprocessing.batches(backend, folder / "clean.parquet", fitted, group=None), ROWS, fitted, folder / "arrays")
    (folder / "preprocessor.json").write_text(fitted.to_json(), encoding="utf-8")
    (folder / "schema.json").write_text(schema.to_json(), encoding="utf-8")
    for name, plain in (("clean", False), ("clean_plain", True)):
        (folder / f"{name}.sql").write_text(preprocessing.frozen_sql(schema, fitted, plain=plain), encoding="utf-8")
    written = {file.stem: np.load(file) for file in (folder / "arrays").glob("*.npy")}
    return Frozen(folder), rows.to_pandas(), written


INPUTS = ("number", "category", "text_0", "image_0", "audio_0", "sequence", "sequence_length")


def test_every_input_equals_what_was_written(made):
    frozen, rows, written = made
    found = frozen.prepare(rows[rows.columns[::-1]])
    assert tuple(found) == INPUTS
    for name in INPUTS:
        np.testing.assert_array_equal(found[name], written[name], err_msg=name)
        assert len(np.unique(written[name])) > 1


def test_one_row_after_another_gets_what_all_get_together(made):
    frozen, rows, written = made
    for at in (3, 0, 79):
        for name, block in frozen.prepare(rows.iloc[[at]]).items():
            np.testing.assert_array_equal(block[0], written[name][at], err_msg=name)
    assert {name: len(block) for name, block in frozen.prepare(rows.head(0)).items()} == dict.fromkeys(INPUTS, 0)


def test_columns_behind_other_inputs_may_be_absent_and_needed_ones_are_named(made):
    frozen, rows, written = made
    np.testing.assert_array_equal(frozen.prepare(rows[["number", "flag", "when"]], ["number"])["number"], written["number"])
    with pytest.raises(UserError, match=r"^missing column picture; the model reads picture$"):
        frozen.prepare(rows.drop(columns="picture"), ["image_0"])
    with pytest.raises(UserError, match=r"^column steps: expected list values, got for example 'three'"):
        frozen.prepare(rows.assign(steps="three"))
    with pytest.raises(UserError, match=r"^column picture: a picture is not readable"):
        frozen.prepare(rows.head(1).assign(picture=[b"no"]))


TOKENS = st.sampled_from(
    [
        "NA",
        "nan",
        "-",
        "-200",
        "true",
        "F",
        "no",
        "1",
        "inf",
        "-1e400",
        "2.5",
        "1,234.5",
        "12%",
        "2020-01-31",
        "31.01.2020",
        "2020-01-31T04:05",
    ]
)
PIECES = st.one_of(TOKENS, st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=9))
FORMS = [Column("a", "text", "category", ""), Column("b", "text", "boolean", ""), Column("n", "text", "number", "")]
FORMS += [replace(Column("c", "text", "number", ""), thousands=",")]
FORMS += [replace(Column("p", "text", "number", ""), format="%"), Column("d", "text", "datetime", "")]
FORMS += [replace(Column("e", "text", "datetime", ""), format="%d.%m.%Y"), replace(Column("z", "text", "datetime", ""), format="%z")]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(st.none(), st.just(""), st.lists(PIECES.filter(bool), min_size=1, max_size=3).map(" ".join)), min_size=1, max_size=40
    )
)
def test_the_short_query_answers_plain_texts_as_the_full_one_does(texts):
    schema = Schema(tuple(FORMS), "y", "binary", None, ("", "NA", "nan", "-200"))
    rows = pa.table({column.name: pa.array(texts, pa.string()) for column in FORMS})
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        table = ibis.table({column.name: "string" for column in FORMS}, name="rows")
        full, short = (
            connection.execute(ibis.to_sql(cleaning.clean(table, schema, plain=plain), dialect="duckdb")).to_arrow_table()
            for plain in (False, True)
        )
    assert is_plain(rows["a"])
    assert short.equals(full)


@given(st.lists(st.one_of(st.none(), st.text(st.sampled_from("ab ~!\t\x7f\xa0é "), max_size=4)), max_size=6), st.integers(0, 3))
def test_plain_is_what_the_pattern_says(texts, start):
    column = pa.chunked_array([pa.array(texts, pa.string()).slice(min(start, len(texts)))])
    assert is_plain(column) == all(not text or re.fullmatch(PLAIN_WORD, text) is not None for text in texts[start:])


def test_many_rows_and_arrow_tables_get_what_one_row_gets(made, monkeypatch):
    frozen, rows, written = made
    monkeypatch.setattr("pipeline.data.frozen.PART", 7)
    for given_rows in (rows, pa.Table.from_pandas(rows, preserve_index=False), raw_rows(), rows.convert_dtypes(dtype_backend="pyarrow")):
        for name, block in frozen.prepare(given_rows).items():
            np.testing.assert_array_equal(block, written[name], err_msg=name)


def test_requests_at_the_same_time_do_not_mix(made):
    frozen, rows, written = made
    wrong = []

    def ask(at):
        for _ in range(20):
            if not np.array_equal(frozen.prepare(rows.iloc[[at]], ["number"])["number"][0], written["number"][at]):
                wrong.append(at)

    threads = [threading.Thread(target=ask, args=(at,)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
