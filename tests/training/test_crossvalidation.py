"""Every row is predicted by a network that saw neither it nor its fold."""

from dataclasses import replace

import numpy as np
import pytest
from conftest_models import preprocessor, side
from toy_sides import side as toy_side
from toys import fitted

from pipeline.config import ModelParams, TrainParams
from pipeline.errors import UserError
from pipeline.evaluation.metrics import compute
from pipeline.training.crossvalidation import cross_validate

MODEL = ModelParams(layers=1, width=8, bins=4, embedding=2, dropout=0)
PARAMS = TrainParams(epochs=6, batch_size=32, learning_rate=1e-2)


def folded(rows, count=3, **keys):
    more = {**rows.more, "fold": np.arange(len(rows)) % count}
    return replace(rows, more=more, **keys)


def crossed(train, validation):
    return cross_validate(preprocessor("regression"), train, validation, model=MODEL, params=PARAMS, seed=1)


def test_a_folds_own_targets_change_nothing_in_its_predictions():
    """Fold 0 with other targets: its own predictions stay, those of networks that learnt from it move."""
    train, validation = folded(side("regression", 150)), folded(side("regression", 60, seed=1))
    spoiled = [
        folded(rows, target=np.where(np.arange(len(rows)) % 3 == 0, 99, rows.target).astype("float32")) for rows in (train, validation)
    ]
    one, other = crossed(train, validation), crossed(*spoiled)
    np.testing.assert_array_equal(one.train[::3], other.train[::3])
    assert (one.train[1::3] != other.train[1::3]).all()
    truth = np.concatenate([train.target, validation.target])
    assert one.together == compute("regression", truth, np.concatenate([one.train, one.validation]))
    assert one.table()["rmse"]["mean"] == pytest.approx(np.mean([fold["rmse"] for fold in one.folds]))


def test_too_few_folds_are_refused():
    with pytest.raises(UserError, match=r"expected at least 3 folds .* got split\.folds: 2"):
        crossed(folded(side("regression"), 2), folded(side("regression"), 2))
    with pytest.raises(UserError, match=r"the rows have no folds; set split\.folds to 3 or more"):
        crossed(side("regression"), side("regression"))
    with pytest.raises(UserError, match="a forecast has none"):
        cross_validate(fitted("series", "forecast"), toy_side("series"), toy_side("series"), model=MODEL, params=PARAMS, seed=1)
