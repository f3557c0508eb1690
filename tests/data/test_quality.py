"""What the quality report says, and the page that shows it."""

from __future__ import annotations

import io
import re
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from pipeline.config import CleanParams, DataParams, ForecastParams
from pipeline.data import cleaning, quality, quality_page, rejects
from pipeline.data.bias import wilson
from pipeline.data.engine import ROW_ID, engine, footer, read, with_row_id, write
from pipeline.data.inference import infer
from pipeline.data.oddities import sentinels


@pytest.fixture(scope="module")
def backend():
    with engine() as connection:
        yield connection


def describe(backend, given, *, target="y", clean=None, **data):
    """The report on raw given, and the rejects."""
    clean = clean or CleanParams()
    rows = len(next(iter(given.values())))
    table = pa.table({**given, **({} if target in given else {"y": (["no", "yes"] * rows)[:rows]})})
    raw = backend.create_table("raw", with_row_id(backend.create_table("rows", table, overwrite=True)).order_by(ROW_ID), overwrite=True)
    schema = infer(backend, raw, DataParams(source="-", target=target, **data), clean)
    marked, _ = rejects.marked(backend, raw, schema, clean)
    reason = marked[rejects.REASON]
    kept = backend.create_table("clean", cleaning.clean(marked.filter(reason.isnull()), schema), overwrite=True)
    dropped = backend.create_table("dropped", marked.filter(reason.notnull()), overwrite=True)
    return quality.describe(backend, raw, kept, dropped, schema), backend.to_pyarrow(dropped).to_pylist()


def test_a_file_s_footer_tells_what_counting_tells(backend, tmp_path):
    given = {
        "n": numbers(),
        "k": ["a", None, "b", "b"] * 15,
        "when": ["2020-01-01", "2021-02-03", "", "2019-12-31"] * 15,
        "gone": [""] * 60,
    }
    given = {name: [values[at % len(values)] for at in range(60)] for name, values in given.items()}
    found, _ = describe(backend, given)
    kept = backend.table("clean")
    write(kept, tmp_path / "rows.parquet")
    schema = infer(backend, backend.table("raw"), DataParams(source="-", target="y"), CleanParams())
    told = quality.describe(
        backend,
        backend.table("raw"),
        read(backend, tmp_path / "rows.parquet"),
        backend.table("dropped"),
        schema,
        footer=footer(tmp_path / "rows.parquet"),
    )
    assert told == found
    assert {"n", "k", "when"} <= set(footer(tmp_path / "rows.parquet"))


def warned(backend, values, **data):
    return describe(backend, {"x": values}, **data)[0]["columns"]["x"].get("warnings", [])


def numbers(*extra):
    return [str(float(k)) for k in np.random.default_rng(0).normal(20, 3, 300).round(2)] + [str(value) for value in extra]


def test_rows_and_columns_are_counted(backend):
    found, _ = describe(backend, {"x": ["1", "2", "NA", "2"], "z": ["a", "b", "a", "b"]})
    assert found["rows"] == {"read": 4, "kept": 4, "duplicates": 1, "dropped": 0}
    x = found["columns"]["x"]
    assert (x["missing"], x["distinct"], x["min"], x["max"], x["median"]) == (1, 2, 1.0, 2.0, 2.0)
    assert sum(x["histogram"]["counts"]) == 3
    assert found["columns"]["z"]["top"] == [["a", 2], ["b", 2]]
    assert found["target"] == {"name": "y", "task": "binary", "classes": {"no": 2, "yes": 2}, "distinct": 2, "missing": 0}


@pytest.mark.parametrize(
    ("numbers_", "expected"),
    [
        ([-200.0] * 5 + list(range(12)), [(-200.0, 5)]),
        ([9999.0] * 3 + list(range(50)), [(9999.0, 3)]),
        ([123456.0] * 3 + list(range(50)), [(123456.0, 3)]),
        ([-1.0] * 30 + [k % 17 for k in range(100)], [(-1.0, 30)]),
        ([-1.0] * 3 + [k % 17 for k in range(100)], []),
        ([-200.0] * 2 + list(range(12)), []),
        ([0.0] * 30 + [1.0] * 30, []),
        ([-999.0, -999.0, -999.0, *range(-1500, 1500, 7)], []),
        (list(np.random.default_rng(0).normal(size=500)), []),
    ],
)
def test_sentinels_are_repeated_and_stand_apart(numbers_, expected):
    assert sentinels(np.array(numbers_, float)) == expected


def test_sentinels_are_suggested_and_not_assumed(backend):
    found, _ = describe(backend, {"x": numbers(-200, -200, -200)})
    assert found["columns"]["x"]["min"] == -200
    told = "-200 stands apart from all other values in 3 rows: if it means missing, set data.missing_in: {x: ['-200']}"
    assert found["columns"]["x"]["warnings"] == [told, found["columns"]["x"]["warnings"][1]]
    assert warned(backend, numbers(-200, -200, -200), missing_in={"x": ("-200",)}) == []


@pytest.mark.parametrize(
    ("values", "data", "words"),
    [
        (["a", "None", "b", "None"], {}, "'None' may mean missing, and counts as a category"),
        (["Rome", "rome", "Oslo", "ROME"], {}, "1 categories are spelt in several ways that differ in case alone: ROME / Rome / rome"),
        (["a"] * 30, {}, "constant: every value is 'a'"),
        (["a"] * 399 + ["b"], {}, "nearly constant: 99.75% of the values are 'a'"),
        (["a", "NA", "NA", "?"], {}, "75% missing"),
        ([f"k{k}" for k in range(50)], {}, "nearly every value differs (50 in 50): looks like an id"),
        ([str(k) for k in range(50)], {}, "nearly every value differs (50 in 50): looks like an id"),
        (numbers(1e6), {}, "1 extreme values, more than 10 interquartile ranges from the middle half"),
        (["01/02/2020", "03/04/2020"], {}, "dates such as '01/02/2020' read in two ways"),
        (["1,234", "5,678"], {}, "numbers such as '1,234' read in two ways"),
        (numbers("x?"), {}, "1 values do not read as number and become missing: 'x?' (1)"),
        (numbers(500), {"clean": CleanParams(ranges={"x": (0, 100)})}, "1 values outside the range set in clean.ranges"),
    ],
)
def test_what_deserves_a_look_is_warned_of(backend, values, data, words):
    assert any(text.startswith(words) for text in warned(backend, values, **data)), warned(backend, values, **data)


def test_ordinary_columns_give_no_warnings(backend):
    rng = np.random.default_rng(1)
    columns = {
        "n": numbers(),
        "lognormal": [str(v) for v in rng.lognormal(sigma=0.5, size=300)],
        "c": list(rng.choice(["a", "b", "c"], 300)),
        "count": [str(v) for v in rng.poisson(3, 300)],
        "d": [f"2020-01-{1 + k % 28:02d}" for k in range(300)],
    }
    found, _ = describe(backend, columns)
    assert {name: column["warnings"] for name, column in found["columns"].items() if "warnings" in column} == {}


@pytest.mark.parametrize(("mode", "kept", "value"), [("missing", 3, None), ("clip", 3, 120.0), ("keep", 3, 999.0), ("drop", 2, None)])
def test_impossible_values(backend, mode, kept, value):
    clean = CleanParams(ranges={"age": (0, 120)}, out_of_range=mode)
    found, dropped = describe(backend, {"age": ["30", "999", "50"]}, clean=clean)
    assert found["rows"]["kept"] == kept
    assert found["columns"]["age"]["out_of_range"] == 1
    ages = backend.to_pyarrow(backend.table("clean"))["age"].to_pylist()
    assert sorted(ages, key=str) == sorted([30.0, 50.0, value][: 3 if kept == 3 else 2], key=str)
    assert found["rejects"] == ({"age outside [0, 120]": 1} if mode == "drop" else {})
    assert [row["age"] for row in dropped] == (["999"] if mode == "drop" else [])


def test_every_dropped_row_stands_among_the_rejects_with_its_reason(backend):
    clean = CleanParams(duplicates="drop", ranges={"x": (0, None)}, out_of_range="drop")
    found, dropped = describe(backend, {"x": ["1", "-1", "1", "-1"], "y": ["a", "b", "a", "b"]}, clean=clean)
    assert found["rejects"] == {"equal to an earlier row": 2, "x outside [0, ]": 1}
    assert found["rows"] == {"read": 4, "kept": 1, "duplicates": 2, "dropped": 3}
    assert sorted((row["x"], row[rejects.REASON]) for row in dropped) == [
        ("-1", "equal to an earlier row"),
        ("-1", "x outside [0, ]"),
        ("1", "equal to an earlier row"),
    ]


def test_broken_pictures_are_dropped_and_whole_ones_shown(backend):
    def png(shade):
        out = io.BytesIO()
        Image.new("L", (8, 6), shade).save(out, "png")
        return out.getvalue()

    files = [png(0), png(100), png(200), png(50)[:40], None]
    found, dropped = describe(backend, {"p": pa.array(files, pa.binary())})
    assert found["rows"] == {"read": 5, "kept": 4, "duplicates": 0, "dropped": 1}
    assert [row["p"] for row in dropped] == [files[3]]
    assert all(reason.startswith("p: ") for reason in found["rejects"])
    told = found["columns"]["p"]
    assert (told["kind"], told["missing"], told["pixels"], len(told["thumbnails"])) == ("image", 1, ["8 x 6 x 1"], 3)


def test_sequences_of_unequal_length_are_dropped(backend):
    columns = {"a": pa.array([[1.0, 2.0], [3.0], None]), "b": pa.array([[1.0, 2.0], [3.0, 4.0], [5.0]])}
    found, _ = describe(backend, columns)
    assert found["rejects"] == {"a and b are of unequal length": 1}
    assert found["columns"]["b"]["steps"] == [1, 1, 2]


def test_near_duplicates_are_counted_and_shown(backend):
    rows = {
        "who": [f"id{k:03d}" for k in range(40)],
        "text": [f"text {'abcdefgh'[k % 8]}{k}" for k in range(40)],
        "n": [f"{k}.5" for k in range(40)],
    }
    rows["text"][1], rows["n"][1], rows["text"][0] = "Hello,  World!", "0.5", "hello world"
    rows["y"] = ["no", "no", *(["yes", "no"] * 19)]
    found, _ = describe(backend, rows, columns={"who": "id", "text": "text"})
    near = found["near_duplicates"]
    assert (near["rows"], near["columns"]) == (1, ["who"])
    assert sorted(near["examples"][0]["differ"]["text"]) == ["Hello,  World!", "hello world"]
    exact, _ = describe(backend, {name: [*values, values[5]] for name, values in rows.items()}, columns={"who": "id", "text": "text"})
    assert (exact["near_duplicates"]["rows"], exact["rows"]["duplicates"]) == (1, 1)


def test_wilson_interval():
    low, high = wilson(5, 10)  # Wilson 1927; the textbook's 0.2366 to 0.7634
    assert (round(low, 4), round(high, 4)) == (0.2366, 0.7634)
    assert wilson(0, 10)[0] == 0
    assert wilson(10, 10)[1] == 1


def test_target_by_category(backend):
    city = ["Rome"] * 40 + ["Oslo"] * 60
    found, _ = describe(backend, {"city": city, "rare": ["a"] * 95 + ["b"] * 5, "y": ["yes"] * 30 + ["no"] * 70})
    assert list(found["bias"]) == ["city"]  # b has too few rows to be shown
    view = found["bias"]["city"]
    assert (view["of"], view["all"]) == ("share of yes", 0.3)
    assert [(c["category"], c["rows"], c["value"]) for c in view["categories"]] == [("Oslo", 60, 0), ("Rome", 40, 0.75)]
    assert [view["categories"][1][end] for end in ("low", "high")] == pytest.approx(wilson(30, 40), rel=1e-5)


def test_mean_of_a_number_by_category(backend):
    found, _ = describe(backend, {"side": ["l", "r"] * 50, "y": [str(1.0 * k + 0.5) for k in range(100)]})
    view = found["bias"]["side"]
    assert (view["of"], view["all"], [c["value"] for c in view["categories"]]) == ("mean y", 50.0, [49.5, 50.5])
    assert all(c["low"] < c["value"] < c["high"] for c in view["categories"])
    assert found["target"]["mean"] == 50.0


class Page(HTMLParser):
    """Tags that are open and never closed, and those that the data should not have made."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.wrong = [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        if tag not in ("meta", "img", "path", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()
        elif tag not in ("path",):
            self.wrong.append(tag)


def test_page_is_whole_and_escapes_the_data(backend):
    evil = "<script>alert(1)</script>"
    columns = {
        evil: [f"<b>{k % 3}</b>" for k in range(40)],
        '"><i x=': numbers()[:40],
        "items": ["a", "b"] * 20,
        "n": [str(k % 9) for k in range(40)],
    }
    found, _ = describe(backend, columns)
    text = quality_page.page(found)
    parsed = Page(text)
    assert parsed.wrong == []
    assert parsed.open == []
    assert "script" not in parsed.seen
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert not re.search(r"(src|href)=\"(?!#|quality\.json|data:)", text)


@pytest.mark.parametrize("task", ["regression", "forecast", "multiclass"])
def test_page_of_each_task(backend, task):
    columns = {
        "t": [f"2020-01-{1 + k % 28:02d}" for k in range(60)],
        "c": ["a", "b"] * 30,
        "y": [f"k{k % 3}" if task == "multiclass" else f"{k}.5" for k in range(60)],
    }
    forecast = ForecastParams(look_back=2, horizon=1) if task == "forecast" else None
    found, _ = describe(backend, columns, forecast=forecast)
    assert found["target"]["task"] == task
    assert f"target y · {task}" in quality_page.page(found)


def test_page_of_many_columns_is_small(backend):
    rng = np.random.default_rng(0)
    columns = {f"n{k}": rng.normal(size=400) for k in range(200)} | {f"c{k}": rng.choice(list("abcdefghijkl"), 400) for k in range(100)}
    found, _ = describe(backend, columns)
    assert len(quality_page.page(found).encode()) < 2_000_000
