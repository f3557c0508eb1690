"""What is said of one window in a line."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.monitoring import judgement


def found(**more: Any) -> dict[str, Any]:
    decay = {"difference": -0.01, "lower": -0.02, "upper": 0.01, "reference_loss": 0.1}
    return {"measures": [], "decay": decay, "reason": "", "unknown_labels": 0} | more


@pytest.mark.parametrize(
    ("window", "told"),
    [
        (found(), "loss -10.0% [-20.0%, +10.0%]"),
        (found(reason="49 rows; about 64 are needed"), "49 rows; about 64 are needed; loss -10.0% [-20.0%, +10.0%]"),
        (found(decay=None, reason="no labels", unknown_labels=400), "no labels; 400 labels cannot be read"),
    ],
)
def test_a_window_in_a_line_tells_why_it_says_little(window, told):
    assert judgement.words(window) == told


def test_labels_that_cannot_be_read():
    assert judgement._unknown(400, ["no", "yes"]) == "400 labels are none of the model's classes (no and yes)"
    assert judgement._unknown(400, [str(at) for at in range(9)]) == "400 labels are none of the model's classes"
    assert judgement._unknown(3, []) == "3 labels are no numbers"
