"""Forecasts: scales, plain forecasts and blocks, each against what can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from pipeline.data.arrays import Side
from pipeline.data.fitted import Forecast, Target
from pipeline.evaluation import forecasting
from pipeline.evaluation.intervals import bootstrap
from pipeline.evaluation.metrics import compute, forecast_metrics

LOOK_BACK, HORIZON = 10, 4


def forecast(targets: int = 1) -> Forecast:
    return Forecast("t", None, LOOK_BACK, HORIZON, tuple(Target(f"y{at}") for at in range(targets)))


def side(steps: np.ndarray, series: int = 1) -> Side:
    """Steps (count, targets), cut into equal series, with all whole windows."""
    length = len(steps) // series
    inner = length - LOOK_BACK - HORIZON + 1
    starts = np.concatenate([at * length + np.arange(inner) for at in range(series)])
    empty = np.empty((len(starts), 0))
    return Side(empty, empty, steps.astype(np.float32), np.repeat(np.arange(series), inner), {"start": starts})


def wave(count: int, season: int = 6, seed: int = 0, noise: float = 0.1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rough = np.random.default_rng(9).normal(0, 5, season)  # a season without symmetry, the same in every side
    return (100 + rough[np.arange(count) % season] + rng.normal(0, noise, count))[:, None]


def test_what_is_true_and_what_is_seen_are_next_to_each_other() -> None:
    rows = side(np.arange(30.0)[:, None])
    assert forecasting.past(rows, forecast(), slice(2, 3), np.zeros(1))[0, :, 0].tolist() == list(range(2, 12))
    assert forecasting.future(rows, forecast())[2, :, 0].tolist() == [12, 13, 14, 15]


def test_missing_values_of_the_past_are_those_before_and_at_the_start_the_mean() -> None:
    steps = np.arange(30.0)[:, None]
    steps[[0, 1, 5]] = np.nan
    seen = forecasting.past(side(steps), forecast(), slice(0, 1), np.array([7.0]))[0, :, 0]
    assert seen.tolist() == [7, 7, 2, 3, 4, 4, 6, 7, 8, 9]


def test_the_season_is_found_and_scales_are_those_of_train() -> None:
    steps = wave(200)
    found = forecasting.scales(side(steps), forecast())
    assert found.season == 6
    assert found.mean == pytest.approx(steps.mean(axis=0), rel=1e-6)
    assert found.deviation == pytest.approx(steps.std(axis=0), rel=1e-5)
    apart = np.abs(steps[LOOK_BACK : 200 - HORIZON + 1] - steps[LOOK_BACK - 6 : 200 - HORIZON - 6 + 1])
    assert found.naive == pytest.approx(apart.mean(axis=0), rel=1e-4)


def test_a_target_that_never_varies_has_scale_one() -> None:
    found = forecasting.scales(side(np.full((60, 1), 3.0)), forecast())
    assert (found.deviation, found.naive) == (1.0, 1.0)


def test_plain_forecasts_by_hand() -> None:
    train, test = side(wave(200)), side(wave(60, seed=1))
    known = forecasting.scales(train, forecast())
    models = forecasting.fit_forecasts(train, forecast(), known)
    assert list(models) == list(forecasting.DEFINITIONS)
    seen, y = forecasting.past(test, forecast(), slice(None), known.mean), forecasting.future(test, forecast())
    assert (models["last"](test) == seen[:, -1:].repeat(HORIZON, axis=1)).all()
    assert (models["seasonal"](test) == seen[:, [4, 5, 6, 7]]).all()  # six back from steps 10 to 13
    error = {name: compute("forecast", y, model(test))["mae"] for name, model in models.items()}
    assert error["linear"] < error["seasonal"] * 1.1 < error["last"]


def test_a_horizon_longer_than_the_season_repeats_it() -> None:
    steps = np.tile([1.0, 2.0, 3.0], 30)[:, None]
    known = forecasting.scales(side(steps), forecast())
    assert known.season == 3
    rows = side(steps)
    assert (forecasting.fit_forecasts(rows, forecast(), known)["seasonal"](rows) == forecasting.future(rows, forecast())).all()


def test_the_linear_forecast_is_a_ridge_regression_of_centred_windows_over_all_targets() -> None:
    train = side(np.column_stack([wave(120), 3 * wave(120, season=5, seed=2) - 70]))
    known = forecasting.scales(train, forecast(2))
    found = forecasting.fit_forecasts(train, forecast(2), known)["linear"](train)
    seen, y = forecasting.past(train, forecast(2), slice(None), known.mean), forecasting.future(train, forecast(2))
    last = seen[:, -1:]
    x = ((seen - last) / known.deviation).transpose(0, 2, 1).reshape(-1, LOOK_BACK)
    z = ((y - last) / known.deviation).transpose(0, 2, 1).reshape(-1, HORIZON)
    expected = Ridge().fit(x, z).predict(x).reshape(-1, 2, HORIZON).transpose(0, 2, 1) * known.deviation + last
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_metrics_of_a_forecast_by_hand() -> None:
    y = np.zeros((2, 2, 2))
    outputs = np.array([[[1, 10], [1, 10]], [[3, 10], [3, 10]]], dtype=float)
    assert compute("forecast", y, outputs) == {"rmse": pytest.approx(np.sqrt((5 + 100) / 2)), "mae": 6.0}
    measured = forecast_metrics(np.array([1.0, 10.0]), np.array([2.0, 5.0]))
    value = {metric.name: metric(y, outputs) for metric in measured}
    assert list(value) == ["mse_scaled", "mae_scaled", "mase", "rmse", "mae"]
    assert (value["mse_scaled"], value["mae_scaled"], value["mase"]) == (3.0, 1.5, 1.5)
    assert forecast_metrics(np.ones(1), np.ones(1))[0].name == "rmse"


def test_the_error_by_step_is_told_for_each_model() -> None:
    y = np.zeros((3, 2, 1))
    outputs = np.broadcast_to(np.array([[1.0], [4.0]]), (3, 2, 1))
    known = forecasting.Scales(np.zeros(1), np.full(1, 2.0), 2, np.ones(1))
    table = forecasting.by_step(y, {"network": outputs}, known)
    assert (table["step"].tolist(), table["network"].tolist()) == ([1, 2], [0.5, 2.0])


def test_blocks_are_of_one_series_and_hold_so_many_starts() -> None:
    rows = side(np.zeros((60, 1)), series=2)
    blocks = forecasting.blocks_of(rows, 5)
    series, starts = np.asarray(rows.group), np.asarray(rows.more["start"])
    for code in np.unique(blocks):
        assert len(set(series[blocks == code])) == 1
        assert np.ptp(starts[blocks == code]) < 5
    assert len(np.unique(blocks)) == 2 * -(-(30 - LOOK_BACK - HORIZON + 1) // 5)


def test_blocks_give_wider_intervals_than_windows_taken_as_independent() -> None:
    """Overlapping windows share their errors: of a random walk's repeated last value the interval must widen."""
    steps = np.cumsum(np.random.default_rng(3).normal(size=400))[:, None]
    rows = side(steps)
    y, last = forecasting.future(rows, forecast()), forecasting.past(rows, forecast(), slice(None), np.zeros(1))[:, -1:]
    found = {"last": np.repeat(last, HORIZON, axis=1)}
    width = {}
    for name, groups in (("single", np.arange(len(y))), ("blocks", forecasting.blocks_of(rows, 2 * HORIZON))):
        interval = bootstrap("forecast", y, found, groups, replicates=400, seed=0).models["last"]["mae"]
        width[name] = interval.high - interval.low
    assert width["blocks"] > 1.3 * width["single"]
