"""Raw rows through the files of a package, prepared by the real data stages and a small network."""

import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from conftest import purchases
from package_files import packed

from pipeline import paths
from pipeline.commands.stages import run_stage
from pipeline.config import ModelParams
from pipeline.data import arrays
from pipeline.data.fitted import Preprocessor
from pipeline.errors import UserError
from pipeline.models.answers import Answers, tempered
from pipeline.models.build import build
from pipeline.models.fit import inputs, outputs
from pipeline.params_file import load
from pipeline.predict import Model


@pytest.fixture
def model(small):
    for stage in ("collect", "clean", "split", "normalize"):
        run_stage(stage, load(paths.PARAMS))
    fitted = Preprocessor.from_json(paths.PREPROCESSOR.read_text())
    network = build(fitted, ModelParams(layers=1, width=8, bins=4, embedding=2), seed=1)
    return Model(packed(small / "files", fitted, network))


def test_raw_rows_give_what_the_arrays_give(model):
    expected = outputs(model.network, model.fitted, inputs(arrays.load("test"), model.fitted))
    ids = pd.read_parquet(paths.SPLIT / "test" / paths.ROWS)["__row_id__"]
    raw = pd.read_parquet(paths.RAW / paths.ROWS).set_index("__row_id__").loc[ids].reset_index(drop=True)
    np.testing.assert_allclose(model.outputs(raw), expected, atol=1e-6)
    np.testing.assert_allclose(model.outputs(raw[raw.columns[::-1]].drop(columns="bought")), expected, atol=1e-6)
    np.testing.assert_allclose(np.concatenate([model.outputs(raw.iloc[[at]]) for at in range(5)]), expected[:5], atol=1e-6)


def test_rows_as_pandas_reads_them_give_what_the_file_s_text_gives(model):
    text = pd.read_csv("rows.csv", dtype=str).head(50)
    parsed = pd.read_csv("rows.csv", parse_dates=["since"]).head(50)
    assert parsed["income"].dtype == float
    np.testing.assert_allclose(model.outputs(parsed), model.outputs(text), atol=1e-7)


def test_an_arrow_table_is_answered_as_pandas_rows_are(model):
    text = pd.read_csv("rows.csv", dtype=str).head(50)
    text.loc[3, "age"], text.loc[5, "age"], text.loc[7, "city"] = "old", None, "Atlantis"
    for rows in (text, text.iloc[:1], text.iloc[[3]], text.head(0)):
        expected, answer = model.predict(rows), model.answer(pa.Table.from_pandas(rows, preserve_index=False))
        pd.testing.assert_frame_equal(answer.to_pandas(), expected, check_dtype=False)
    assert model.answer(pa.Table.from_pandas(text, preserve_index=False))["refused"].null_count == 48
    parsed = pd.read_csv("rows.csv", parse_dates=["since"]).head(50)
    pd.testing.assert_frame_equal(model.answer(pa.Table.from_pandas(parsed)).to_pandas(), model.predict(parsed), check_dtype=False)


def test_predictions_are_named(model):
    answer = model.predict(purchases().head(5))
    assert list(answer.columns) == ["prediction", "probability of no", "probability of yes", "refused", "flags"]
    np.testing.assert_allclose(answer["probability of no"] + answer["probability of yes"], 1)
    assert list(answer["prediction"]) == list(np.where(answer["probability of yes"] >= 0.5, "yes", "no"))


def test_unseen_categories_and_missing_values_are_answered(model):
    rows = purchases().head(3).assign(city=["Atlantis", None, "Oslo"], income=[np.nan, None, 5.0])
    assert np.isfinite(model.outputs(rows)).all()
    unseen, other = (model.outputs(rows.iloc[[0]].assign(city=city)) for city in ("Atlantis", "Mu"))
    np.testing.assert_array_equal(unseen, other)


def test_a_missing_value_that_training_never_saw_refuses_its_row_alone(model):
    rows = purchases().head(4).assign(age=[31.0, None, 40.0, "old"], income=[None, 10.0, 10.0, 10.0])
    answer = model.predict(rows)
    assert answer["refused"].tolist() == [
        None,
        "age is missing, which it never was in training",
        None,
        "age: expected a number, got 'old'",
    ]
    assert answer["prediction"].isna().tolist() == [False, True, False, True]
    assert answer["probability of yes"].isna().tolist() == [False, True, False, True]
    alone = model.predict(purchases().head(4).assign(age=31.0, income=[None, 10.0, 10.0, 10.0]))
    assert answer["probability of yes"][0] == pytest.approx(alone["probability of yes"][0], abs=1e-6)


def test_what_is_unusual_is_flagged_and_answered(model):
    rows = purchases().head(4).assign(city=["Atlantis", "Oslo", None, "Rome"], age=[30.0, 130.0, 30.0, -1.0])
    answer = model.predict(rows)
    assert answer["refused"].isna().all()
    assert answer["prediction"].notna().all()
    assert answer["flags"][0] == "city 'Atlantis' is not in training"
    assert re.fullmatch(r"age 130 is outside of training's 2\d(\.\d)? to [67]\d(\.\d)?", answer["flags"][1])
    assert answer["flags"][2] is None
    assert answer["flags"][3].startswith("age -1 is outside")


def test_rows_that_were_seen_are_neither_refused_nor_flagged(model):
    train = pd.read_parquet(paths.SPLIT / "train" / paths.ROWS)["__row_id__"]
    raw = pd.read_parquet(paths.RAW / paths.ROWS).set_index("__row_id__").loc[train].reset_index(drop=True)
    answer = model.predict(raw)
    assert answer["refused"].isna().all()
    assert answer["flags"].isna().all()


def test_typed_rows_are_looked_at_like_texts(model):
    rows = pd.read_csv("rows.csv", parse_dates=["since"]).head(3)
    rows["age"] = [np.nan, 25.0, 900.0]
    answer = model.predict(rows)
    assert answer["refused"].notna().tolist() == [True, False, False]
    assert answer["flags"].notna().tolist() == [False, False, True]


def test_notes_stand_at_their_rows_in_large_requests(model, monkeypatch):
    monkeypatch.setattr("pipeline.data.frozen.PART", 7)
    monkeypatch.setattr("pipeline.predict.PREPARED", 20)
    rows = purchases(100)
    rows["age"] = rows["age"].clip(30, 60)
    rows.loc[[5, 33, 77], "age"] = None
    rows.loc[[6, 61], "city"] = "Atlantis"
    answer = model.predict(rows)
    assert np.flatnonzero(answer["refused"].notna()).tolist() == [5, 33, 77]
    assert np.flatnonzero(answer["flags"].str.contains("Atlantis", na=False)).tolist() == [6, 61]


def test_too_many_rows_are_refused_in_words(model, monkeypatch):
    monkeypatch.setattr("pipeline.predict.MOST_ROWS", 10)
    with pytest.raises(UserError, match="11 rows: at most 10 are answered at once; `pipeline predict FILE` takes any number"):
        model.predict(purchases(100).head(11))


def test_a_changed_file_is_refused(model, small):
    (small / "files" / "answers.json").write_text(Answers("binary", threshold=0.1).to_json())
    with pytest.raises(UserError, match=r"answers\.json was changed since it was packaged"):
        Model(small / "files")


def test_answers_are_those_that_were_learnt(model):
    rows = purchases().head(50)
    plain = model.predict(rows)
    model.answers = Answers("binary", "temperature", temperature=3.0, threshold=0.45)
    told = model.predict(rows)
    p = plain["probability of yes"].to_numpy()
    np.testing.assert_allclose(told["probability of yes"], tempered(p, 3.0))
    assert (told["prediction"] == np.where(told["probability of yes"] >= 0.45, "yes", "no")).all()


def test_no_rows_give_no_predictions(model):
    assert len(model.predict(purchases().head(0))) == 0


def test_a_missing_column_is_named(model):
    with pytest.raises(UserError, match="missing column age; the model reads"):
        model.predict(purchases().drop(columns="age"))


def test_many_rows_are_answered_in_blocks(model, monkeypatch):
    rows = purchases(100)
    whole = model.outputs(rows)
    monkeypatch.setattr("pipeline.predict.BATCH", 7)
    np.testing.assert_allclose(model.outputs(rows), whole, atol=1e-6)
