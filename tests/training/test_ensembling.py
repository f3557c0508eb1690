import keras
import numpy as np
import pytest
import toys

from pipeline.config import ModelParams
from pipeline.models.build import build, save, serving
from pipeline.training.ensembling import mean, seeds

MODEL = ModelParams(layers=1, width=4, bins=4, embedding=2)


def test_seeds_differ_and_the_first_is_the_given_one():
    found = seeds(7, 4)
    assert found[0] == 7
    assert len(set(found)) == 4
    assert found == seeds(7, 4) != seeds(8, 4)
    assert all(0 <= seed < 2**31 for seed in found)


@pytest.mark.parametrize(
    ("kind", "task", "members"),
    [
        ("mixed", "multiclass", 1),
        ("mixed", "multiclass", 2),
        ("table", "regression", 1),
        ("table", "regression", 2),
        ("series", "forecast", 1),  # which has no members
    ],
)
def test_the_mean_of_networks_answers_with_the_mean_and_survives_saving(tmp_path, kind, task, members):
    fitted, (x, _) = toys.fitted(kind, task), toys.rows(kind, task, 5)
    model = MODEL.model_copy(update={"members": members, "width": 8})
    networks = [serving(build(fitted, model, seed)) for seed in seeds(1, 3)]
    expected = np.mean([network.predict_on_batch(x) for network in networks], axis=0)
    together = mean(networks)
    assert {tensor.name for tensor in together.inputs} == set(x)
    np.testing.assert_allclose(together.predict_on_batch(x), expected, atol=1e-6)
    save(together, tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras", compile=False, safe_mode=True)
    np.testing.assert_allclose(again.predict_on_batch(x), expected, atol=1e-6)


def test_one_network_stays_itself():
    network = build(toys.fitted("table", "binary"), MODEL, seed=1)
    assert mean([network]) is network
