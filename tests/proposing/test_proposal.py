"""From files to what is written: each inference beside a table that must not bring it about."""

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import purchases

from pipeline import params_file, paths
from pipeline.errors import UserError
from pipeline.proposing import opening, telling
from pipeline.proposing.proposal import Proposal, propose
from pipeline.proposing.writing import written

RNG = np.random.default_rng(0)


def proposed(frame: pd.DataFrame, target: str | None = None, *, name: str = "rows.csv", **how) -> Proposal:
    """The proposal for a table; what is written of it can be loaded, and says the same."""
    frame.to_csv(name, index=False, **how)
    found = propose(name, target)
    paths.PARAMS.write_text(written(found))
    params = params_file.load(paths.PARAMS)
    assert params.data.source == name
    assert (params.data.target, params.data.task) == (found.data.target, found.task)
    assert params.split == found.sides.params
    assert params.data.columns == {column: kind for column, (kind, _) in found.columns.items()}
    assert params.train.epochs == found.sizes.epochs
    assert all(len(line) <= 140 for line in paths.PARAMS.read_text().splitlines())
    assert all(line.strip() for line in telling.lines(found))
    return found


def test_rows_of_a_customer_stay_together(workspace):
    found = proposed(purchases(400))
    assert (found.data.target, found.task) == ("bought", "binary")
    assert found.sides.keys["strategy"] == "group"
    assert found.sides.keys["by"] == "customer"
    assert found.name == "rows"
    assert not found.columns
    assert any("{strategy: time, by: since}" in note for note in found.notes)


def test_one_row_a_customer_is_split_by_class_and_what_tells_the_target_is_set_aside(workspace):
    rows = purchases(400).drop_duplicates("customer").assign(customer=lambda t: [f"K{at}x" for at in range(len(t))])
    rows["consent"] = np.where(rows["bought"] == "yes", "signed", "open")
    rows["gap"] = np.where(rows.index % 20 == 0, -999, RNG.integers(0, 50, len(rows)))
    found = proposed(rows[["bought", *(name for name in rows if name != "bought")]])
    assert found.sides.keys["strategy"] == "stratified"
    assert found.columns == {"consent": ("ignore", "bought under another name")}
    assert any(note.startswith("gap: -999 stands apart") for note in found.notes)
    assert any("customer (nearly every value differs" in note for note in found.notes)


def test_a_sum_that_is_the_target_is_set_aside_and_the_order_of_time_is_kept(workspace):
    when = pd.date_range("2024-01-01", periods=600, freq="D").repeat(2)
    rows = pd.DataFrame({"day": when, "heat": RNG.normal(size=1200), "web": RNG.integers(0, 90, 1200), "shop": RNG.integers(0, 90, 1200)})
    rows["sales"] = rows["web"] + rows["shop"]
    rows["weather"] = RNG.choice(["sun", "rain"], 1200)
    found = proposed(rows)
    assert (found.data.target, found.task) == ("sales", "regression")
    assert found.sides.keys["by"] == "day"
    assert found.sides.keys["strategy"] == "time"
    assert found.columns == dict.fromkeys(("web", "shop"), ("ignore", "sales is made up of web and shop"))


def test_columns_that_are_all_there_is_stay_though_they_make_up_the_target(workspace):
    rows = pd.DataFrame({"web": RNG.integers(0, 90, 400), "shop": RNG.integers(0, 90, 400)})
    rows["sales"] = rows["web"] + rows["shop"]
    found = proposed(rows)
    assert found.columns == {}
    assert any("nothing else is left to learn from" in note for note in found.notes)


def test_an_hourly_table_becomes_a_forecast(workspace):
    rows = pd.DataFrame(
        {"when": pd.date_range("2024-01-01", periods=800, freq="h"), "a": RNG.normal(size=800), "load": RNG.normal(size=800)}
    )
    found = proposed(rows)
    assert (found.task, found.data.target, found.sides.keys["strategy"]) == ("forecast", "load", "time")
    assert (found.data.forecast.time, found.data.forecast.horizon) == ("when", 26)
    beside = "# it sees the past of load alone; channel_mixing: true lets it see the other columns too, which the sweep tries"
    assert beside in written(found)
    assert "channel_mixing" not in written(proposed(rows.drop(columns="a")))


def test_long_rows_become_series_on_their_given_sides(workspace):
    steps, count = 8, 60
    rows = pd.DataFrame(
        {
            "series_id": np.repeat(np.arange(count), steps),
            "part": np.repeat(np.where(np.arange(count) % 3 > 0, "train", "test"), steps),
            "t": np.tile(np.arange(steps), count),
            "x": RNG.normal(size=count * steps),
            "z": RNG.normal(size=count * steps),
            "label": np.repeat(RNG.choice(["a", "b"], count), steps),
        }
    )
    found = proposed(rows)
    assert found.data.series.model_dump() == {"id": "series_id", "time": "t"}
    assert (found.rows, found.unit) == (count, "series")
    assert found.sides.keys == {"strategy": "given", "by": "part", "validation": 0.15}


def test_a_table_of_another_country_without_a_hint_is_read_as_it_is_meant(workspace):
    rows = pd.DataFrame({"größe": RNG.normal(170, 10, 300).round(1), "gewicht": RNG.normal(70, 9, 300).round(2), "stadt": "Köln"})
    rows["preis"] = (rows["größe"] * 2 + RNG.normal(0, 5, 300)).round(2)
    found = proposed(rows, sep=";", decimal=",", encoding="latin-1")
    assert (found.data.target, found.task, found.width) == ("preis", "regression", 4)
    assert found.unsure
    assert f"mean {rows['preis'].mean():.0f}" in found.told
    assert any("stadt (constant" in note for note in found.notes)


def test_texts_that_stand_twice_are_dropped_and_rare_classes_do_not_stop_it(workspace):
    words = np.array(["red", "green", "blue", "apple", "stone", "river", "cloud", "house", "tree", "light", "dark", "fast", "slow"])
    texts = [" ".join(RNG.choice(words, 8)) for _ in range(297)]
    rows = pd.DataFrame({"label": RNG.choice(["ham", "spam"], 297), "text": texts})
    rows = pd.concat(
        [rows, rows.head(20), pd.DataFrame({"label": ["x", "y", "z"], "text": ["one of it only", "two of it only", "three of a kind"]})]
    )
    found = proposed(rows)
    assert (found.data.target, found.task, found.duplicates) == ("label", "multiclass", 20)
    assert "the same text of text twice is no chance" in paths.PARAMS.read_text()
    assert found.sides.keys["min_class_rows"] == 0
    assert any("3 classes of label have fewer than 10 rows ('x' 1, 'y' 1, 'z' 1)" in note for note in found.notes)


def test_of_many_rows_a_part_is_looked_at(workspace, monkeypatch):
    monkeypatch.setattr(opening, "ROWS", 300)
    found = proposed(purchases(900))
    assert (found.rows, found.whole) == (900, False)
    assert found.sides.keys["by"] == "customer"  # its values are counted over all rows
    assert "of which a sample was looked at" in paths.PARAMS.read_text()


def test_a_wrong_target_is_told_with_the_nearest_name(workspace):
    purchases(100).to_csv("rows.csv", index=False)
    with pytest.raises(UserError, match=r"--target: no column 'bougth'; did you mean 'bought'\? Columns are customer, age"):
        propose("rows.csv", "bougth")
    with pytest.raises(UserError, match=r"data\.target: 'since': regression needs numbers, but all 100 values read as datetime"):
        propose("rows.csv", "since")


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (pd.DataFrame({"price": RNG.normal(size=60)}), "nothing to predict price from: expected columns that vary, found no other column"),
        (pd.DataFrame({"id": range(60), "y": RNG.integers(0, 2, 60)}), "nothing to predict y from"),
        (
            pd.DataFrame({"id": range(60), "text": [f"word{n} and word{n * 7} are here" for n in range(60)]}),
            "found no column that can be predicted",
        ),
    ],
)
def test_a_table_without_a_question_is_told(workspace, rows, told):
    rows.to_csv("rows.csv", index=False)
    with pytest.raises(UserError, match=told):
        propose("rows.csv", None)


def test_of_a_folder_the_commonest_files_are_read(workspace):
    (workspace / "parts").mkdir()
    for at in range(3):
        purchases(60, seed=at).to_csv(f"parts/{at}.csv", index=False)
    (workspace / "parts" / "notes.json").write_text('[{"a": 1}]')
    found = propose("parts", None)
    assert (found.data.files, found.rows, found.data.target) == ("*.csv", 180, "bought")


def test_telephone_numbers_are_told_as_set_aside(workspace):
    rows = pd.DataFrame({"phone": [f"+49 171 {k * 7919 % 10**7:07d}" for k in range(300)], "x": RNG.normal(size=300)})
    rows["y"] = rows["x"] + RNG.normal(size=300)
    assert any("set aside without your doing: phone" in note for note in proposed(rows, "y").notes)


def test_a_rare_class_is_no_class_of_nothing(workspace):
    rows = pd.DataFrame({"amount": RNG.normal(size=3000), "fraud": np.arange(3000) % 250 == 0}).astype({"fraud": int})
    assert proposed(rows, "fraud").told == "0 99.6%, 1 0.4%"


@pytest.mark.parametrize(
    ("names", "every", "positive", "threshold"),
    [
        (["0", "1"], 250, None, "f1"),
        (["ok", "fraud"], 250, "fraud", "f1"),  # the first in order: F1 would be about the other
        (["ok", "Fraud", "fraud"], 50, None, "auto"),  # which spelling train has more of is not known yet
        (["ok", "fraud"], 12, None, "auto"),
    ],
)
def test_a_rare_class_of_two_is_answered_from_the_probability_of_best_f1_on(workspace, names, every, positive, threshold):
    at = np.arange(3000)
    labels = np.where(at % every == 0, np.array(names[1:])[at // every % (len(names) - 1)], names[0])
    found = proposed(pd.DataFrame({"amount": RNG.normal(size=3000), "label": labels}), "label")
    params = params_file.load(paths.PARAMS)
    assert (found.task, params.data.positive, params.evaluate.threshold) == ("binary", positive, threshold)
    assert ("seldom as likely as 0.5" in written(found)) == (threshold == "f1")


def test_a_class_of_few_rows_is_told(workspace):
    rows = pd.DataFrame({"x": RNG.normal(size=303), "grade": [*RNG.choice(["a", "b"], 300), "c", "c", "c"]})
    (note,) = [note for note in proposed(rows, "grade").notes if note.startswith("class 'c' of grade has 3 rows: ")]
    assert note.endswith("merge classes in the source, gather more rows, or leave these out")
    assert "# class 'c' of grade has 3 rows" in paths.PARAMS.read_text()


def test_what_a_remark_asks_to_set_can_be_pasted(workspace):
    rows = pd.DataFrame({"'gap': a": np.where(np.arange(400) % 20 == 0, -999, RNG.integers(0, 50, 400)), "y": RNG.normal(size=400)})
    (note,) = [note for note in proposed(rows, "y").notes if "stands apart" in note]
    params = yaml.safe_load(paths.PARAMS.read_text())
    params["data"]["missing_in"] = yaml.safe_load(note.partition("set data.missing_in: ")[2])
    paths.PARAMS.write_text(yaml.safe_dump(params))
    assert params_file.load(paths.PARAMS).data.missing_in == {"'gap': a": ("-999",)}
