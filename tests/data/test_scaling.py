"""Scaling learnt from values, and a target's transform with its inverse."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from pipeline.data import scaling
from pipeline.data.fitted import Number, Preprocessor
from pipeline.data.numeric import Values, encode
from pipeline.models import heads

RNG = np.random.default_rng(0)
TAIL = np.exp(RNG.normal(0, 2, 5000))
X = Number("x", "value")


def inputs(values, number):
    return encode(number, Values(pa.array(values))).astype(float)


@pytest.mark.parametrize(
    ("values", "heavy"),
    [(RNG.normal(size=5000), False), (RNG.uniform(size=5000), False), (RNG.exponential(size=5000), False), (TAIL, True), (-TAIL, True)],
)
def test_auto_takes_the_logarithm_of_heavy_tails_alone(values, heavy):
    assert scaling.heavy_tail(values) == heavy
    assert scaling.scaled(X, values, "auto") == scaling.scaled(X, values, "log" if heavy else "robust")


def test_ranks_of_train_are_a_standard_normal_and_equal_values_share_theirs():
    number = scaling.scaled(X, TAIL, "quantile")
    found = inputs(TAIL, number)
    assert (found.mean(), found.std()) == pytest.approx((0, 1), abs=0.05)
    assert (np.diff(found[np.argsort(TAIL)]) >= 0).all()
    assert inputs([-1e9, 1e9, None], number).tolist() == pytest.approx([found.min(), found.max(), 0])
    tied = scaling.scaled(X, np.array([0.0] * 60 + [1.0] * 40), "quantile")
    assert inputs([0.0, 1.0], tied).tolist() == pytest.approx([-0.52, 0.84], abs=0.02)  # the middles, 30% and 80%


def test_clip_notes_the_quantiles_and_shields_the_statistics():
    values = np.append(RNG.normal(size=999), 1e6)
    number = scaling.scaled(X, values, "standard", clip=0.01)
    assert (number.low, number.high) == tuple(np.quantile(values, [0.01, 0.99]))
    assert number.scale < 1.1


def test_huge_and_constant_values_give_finite_scales():
    for values in (np.array([1e300, -1e300, 5.0]), np.full(9, 7.0), np.array([1e-300, 2e-300])):
        for method in ("robust", "standard", "log", "quantile", "none", "auto"):
            number = scaling.scaled(X, values, method)
            assert np.isfinite([number.center, number.scale]).all()
            assert number.scale > 0


@pytest.mark.parametrize("transform", ["standardize", "log", "none", "auto"])
@pytest.mark.parametrize("values", [TAIL, RNG.normal(50, 9, 500), -TAIL * 1e6, TAIL * 1e-6, np.zeros(5)])
def test_a_target_comes_back_from_what_the_network_learns(transform, values):
    target = scaling.target("y", values, transform)
    learnt = heads.training_target(values.astype("float32"), target)
    back = heads.predictions(learnt[:, None], Preprocessor("regression", target, (), (), {}))
    assert back == pytest.approx(values, rel=1e-4, abs=1e-6 * np.abs(values).max())
    exact = heads.units(heads.training_target(values, target).astype("float64"), target)
    assert exact == pytest.approx(values, rel=1e-4, abs=1e-6 * np.abs(values).max())


def test_auto_takes_the_logarithm_of_a_target_that_is_never_negative_and_heavy_tailed():
    assert [scaling.target("y", v, "auto").transform for v in (TAIL, TAIL - 1, RNG.normal(50, 9, 500))] == [
        "log",
        "standardize",
        "standardize",
    ]
    assert abs(heads.training_target(TAIL, scaling.target("y", TAIL, "log")).mean()) < 1e-3


def test_no_answer_overflows_after_a_logarithm():
    target = scaling.target("y", TAIL, "log")
    found = heads.units(np.array([1e9, -1e9]), target)
    assert np.abs(found) == pytest.approx(heads.FAR * TAIL.max(), rel=1e-6)
