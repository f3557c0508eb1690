"""Used and unused columns, by real permutation importance of a known function."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from pipeline.data.fitted import Number, Preprocessor, Target
from pipeline.evaluation.influence import Importances, importance_rows, permutation_importance
from pipeline.monitoring.harm import uses

PREDICTION = "model prediction"
WEIGHTS = {"strong": 1.5, "weak": 0.3, "unused": 0.02, "ignored": 0.0, "left": 0.08, "right": 0.08, "photo": 0.5}
WATCHED = ("strong", "weak", "unused", "ignored", "left", "right", "photo (brightness)", "photo (pixels)", "elsewhere", PREDICTION)


def measured(seed: int, rows: int = 3000) -> Importances:
    """A logistic model: "unused" has a small weight that is mere noise, "left" and "right" are nearly the same column."""
    rng = np.random.default_rng(seed)
    weights = np.array(list(WEIGHTS.values()))
    x = rng.normal(size=(rows, len(weights)))
    x[:, 5] = x[:, 4] + 0.05 * x[:, 5]
    true = weights * (np.array(list(WEIGHTS)) != "unused")
    y = (rng.random(rows) < 1 / (1 + np.exp(-x @ true))).astype(int)
    fitted = Preprocessor("binary", Target("y", ("no", "yes")), tuple(Number(column, "value") for column in WEIGHTS), (), {})

    def predict(inputs: Any) -> Any:
        return 1 / (1 + np.exp(-inputs["number"] @ weights))

    return permutation_importance(predict, fitted, {"number": x}, y, np.arange(rows), replicates=200, seed=seed)


@pytest.fixture(scope="module")
def draws() -> list[Importances]:
    return [measured(seed) for seed in range(30)]


def test_over_thirty_draws_the_strong_is_used_and_the_unused_is_not(draws: list[Importances]) -> None:
    called: Counter[str] = Counter()
    for found in draws:
        told = uses(importance_rows(found), WATCHED, prediction=PREDICTION, loss=found.loss)
        assert told.used[:2] == (PREDICTION, "strong")
        assert set(told.importance) == set(WATCHED)
        called.update(told.used)
    assert called["unused"] + called["ignored"] < 0.1 * 60
    for name in ("strong", "weak", "photo (brightness)", "photo (pixels)", "elsewhere", PREDICTION):
        assert called[name] == 30
    # Together the linked columns matter, alone each looks unused in most draws.
    assert called["left"] == called["right"] >= 27
    alone = [one.high < 0.005 * found.loss for found in draws for one in found.columns if one.name in ("left", "right")]
    assert np.mean(alone) > 0.5


def row(name: str, increase: Any, high: Any, columns: int = 1) -> dict[str, Any]:
    return {"name": name, "columns": columns, "loss_increase": increase, "low": -1.0, "high": high}


def told(rows: list[dict[str, Any]], *watched: str, loss: float = 1.0) -> tuple[str, ...]:
    found = uses(rows, watched, prediction=PREDICTION, loss=loss)
    assert found.used[0] == PREDICTION
    return found.used[1:]


def test_the_limit_is_a_share_of_the_loss() -> None:
    rows = [row("a", 0.001, 0.004), row("b", 0.001, 0.006), row("c", 0.2, 0.3)]
    assert told(rows, "a", "b", "c") == ("c", "b")
    assert told(rows, "a", "b", "c", loss=2.0) == ("c",)
    assert told(rows, "a", "b", "c", loss=0.1) == ("c", "a", "b")


def test_what_is_not_measured_is_used() -> None:
    nan = float("nan")
    rows = [row("few groups", 0.0, nan), row("read from a file", "0.001", ""), row("told", "0.0", "0.0001")]
    assert told(rows, "new", "few groups", "told", "read from a file") == ("read from a file", "few groups", "new")
    assert told([], "a", "b") == ("a", "b")
    assert told(rows, "told", loss=nan) == ("told",)
    found = uses(rows, ["new", "told"], prediction=PREDICTION, loss=1.0)
    assert found.importance == {PREDICTION: None, "new": None, "told": 0.0}


def test_a_perfect_model_uses_what_raises_its_loss() -> None:
    assert told([row("a", 0.0, 0.0), row("b", 0.1, 0.2)], "a", "b", loss=0.0) == ("b",)


def test_parts_belong_to_their_column_and_whole_names_come_first() -> None:
    rows = [row("photo", 0.3, 0.4), row("height (cm)", 0.0, 0.0), row("height", 0.2, 0.3), row("text", 0.0, 0.0)]
    assert told(rows, "height (cm)", "photo (contrast)", "height (mean)", "text (words)") == ("photo (contrast)", "height (mean)")


def test_clusters_are_read_from_their_names_even_with_a_plus_in_them() -> None:
    rows = [row(name, 0.0, 0.001) for name in ("a", "b", "a + b", "c")] + [row("a + b + c", 0.1, 0.2, columns=2)]
    assert told(rows, "a", "b", "a + b", "c") == ("a + b", "c")
    found = uses(rows, ["a", "a + b"], prediction=PREDICTION, loss=1.0)
    assert (found.importance["a"], found.importance["a + b"]) == (0.0, 0.1)


def test_equal_importance_keeps_the_given_order_and_a_name_counts_once() -> None:
    rows = [row("a", 0.1, 0.2), row("b", 0.1, 0.2)]
    assert told(rows, "b", "a", "b") == ("b", "a")
