"""Raw rows through the files of a package, prepared by the real data stages and a small network."""

import numpy as np
import pandas as pd
import pytest
from conftest import purchases

from pipeline import paths
from pipeline.cli import run_stage
from pipeline.config import ModelParams
from pipeline.data import arrays
from pipeline.data.fitted import Preprocessor
from pipeline.errors import UserError
from pipeline.models.answers import Answers
from pipeline.models.build import build, save
from pipeline.models.fit import inputs, outputs
from pipeline.packaging import FILES
from pipeline.params_file import load
from pipeline.predict import Model


@pytest.fixture
def model(small):
    for stage in ("collect", "clean", "split", "normalize"):
        run_stage(stage, load(paths.PARAMS))
    fitted = Preprocessor.from_json(paths.PREPROCESSOR.read_text())
    paths.MODELS.mkdir()
    paths.FITTED.write_text(fitted.to_json())
    paths.ANSWERS.parent.mkdir(parents=True)
    paths.ANSWERS.write_text(Answers("binary").to_json())
    save(build(fitted, ModelParams(layers=1, width=8, bins=4, embedding=2), seed=1), paths.MODEL)
    for file in FILES:
        (small / "files").mkdir(exist_ok=True)
        (small / "files" / file.name).write_bytes(file.read_bytes())
    return Model(small / "files")


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


def test_predictions_are_named(model):
    answer = model.predict(purchases().head(5))
    assert list(answer.columns) == ["prediction", "probability of no", "probability of yes"]
    np.testing.assert_allclose(answer["probability of no"] + answer["probability of yes"], 1)
    assert list(answer["prediction"]) == list(np.where(answer["probability of yes"] >= 0.5, "yes", "no"))


def test_unseen_categories_and_missing_values_are_answered(model):
    rows = purchases().head(3).assign(city=["Atlantis", None, "Oslo"], income=[np.nan, None, 5.0])
    assert np.isfinite(model.outputs(rows)).all()
    unseen, other = (model.outputs(rows.iloc[[0]].assign(city=city)) for city in ("Atlantis", "Mu"))
    np.testing.assert_array_equal(unseen, other)


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
