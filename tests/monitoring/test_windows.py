import numpy as np
import pandas as pd
import pytest

from pipeline.data.fitted import Category, Number, Preprocessor, Target
from pipeline.monitoring import windows


def fitted(task="binary", classes=("no", "yes")):
    numbers = (Number("age", "value"), Number("since", "days"), Number("member", "value"))
    return Preprocessor(task, Target("y", classes), numbers, (Category("city", ("Rome",)),), {})


def table(rows=4):
    return pd.DataFrame(
        {
            "age": [1, 2, 3, None][:rows],
            "since": pd.to_datetime(["1970-01-02", "1970-01-03", None, "1970-01-05"])[:rows],
            "member": [True, False, None, True][:rows],
            "city": ["Rome", None, "Oslo", "Rome"][:rows],
            "y": ["yes", "no", None, "maybe"][:rows],
            "person": ["a", "a", None, "b"][:rows],
        }
    )


def test_columns_are_numbers_or_text_and_dates_are_days():
    found = windows.window(table(), np.full(4, 0.25), fitted(), group=None)
    assert found.frame["since"].tolist()[:2] == [1.0, 2.0]
    assert found.frame["member"].tolist() == ["True", "False", None, "True"]
    assert windows.kinds(found, fitted()) == {
        "age": "number",
        "since": "number",
        "member": "category",
        "city": "category",
        windows.PREDICTION: "number",
    }


def test_losses_are_log_loss_and_missing_without_a_label():
    found = windows.window(table(), np.array([0.25, 0.25, 0.5, 0.5]), fitted(), group=None)
    np.testing.assert_allclose(found.losses, [-np.log(0.25), -np.log(0.75), np.nan, np.nan])
    one_hot = np.array([[0.2, 0.3, 0.5]] * 4)
    multi = windows.window(table(), one_hot, fitted("multiclass", ("maybe", "no", "yes")), group=None)
    np.testing.assert_allclose(multi.losses, [-np.log(0.5), -np.log(0.3), np.nan, -np.log(0.2)])
    assert multi.frame[windows.PREDICTION].tolist() == ["yes"] * 4
    numbers = table().assign(y=[1.0, 2.0, None, 4.0])
    assert windows.window(numbers, np.zeros(4), fitted("regression", ()), group=None).losses.tolist()[:2] == [1.0, 4.0]


def test_rows_of_a_group_share_a_code_and_missing_groups_stand_alone():
    codes = windows.window(table(), np.full(4, 0.5), fitted(), group="person").groups
    assert codes[0] == codes[1]
    assert len(set(codes.tolist())) == 3


@pytest.mark.parametrize(
    ("rows", "size", "expected"), [(9, 4, [4, 5]), (10, 4, [4, 4, 2]), (12, 4, [4, 4, 4]), (11, 4, [4, 4, 3]), (3, 5, [3])]
)
def test_windows_have_the_size_asked_for_and_a_short_rest_joins_the_last(rows, size, expected):
    parts = list(windows.cut(np.arange(rows), size, most=100))
    assert [len(part) for part in parts] == expected
    assert np.concatenate(parts).tolist() == list(range(rows))


def test_groups_are_not_torn_apart():
    groups = np.random.default_rng(0).permutation(np.repeat(np.arange(10), 7))
    parts = list(windows.cut(groups, 20, most=100))
    assert [len(part) for part in parts] == [21, 21, 28]
    seen = [set(groups[part].tolist()) for part in parts]
    assert [group for part in seen for group in sorted(part)] == list(range(10))


def test_the_order_of_groups_does_not_depend_on_their_size():
    """Else the first windows would hold the large groups, and differ from the rest without any change."""
    sizes = np.random.default_rng(0).integers(1, 60, 300)
    frame = pd.DataFrame({"age": 1.0, "y": "yes", "g": np.repeat([f"person {at}" for at in range(300)], sizes)})
    frame = frame.sample(frac=1, random_state=1).reset_index(drop=True)  # as by row id: large groups tend to come up first
    single = Preprocessor("binary", Target("y", ("no", "yes")), (Number("age", "value"),), (), {})
    codes = windows.window(frame, np.full(len(frame), 0.5), single, group="g").groups
    mean_size = [np.bincount(codes)[:100].mean(), np.bincount(codes)[200:].mean()]
    assert mean_size[0] == pytest.approx(mean_size[1], rel=0.2)


def test_no_rows_give_no_window():
    assert list(windows.cut(np.empty(0, int), 10, most=5)) == []


def test_many_rows_make_larger_windows_rather_than_more():
    assert [len(part) for part in windows.cut(np.arange(1000), 10, most=4)] == [250] * 4


def test_rows_without_an_answer_have_neither_a_prediction_nor_a_loss():
    found = windows.window(table(), np.array([np.nan, 0.25, 0.5, 0.5]), fitted(), group=None)
    assert found.frame[windows.PREDICTION].isna().tolist() == [True, False, False, False]
    assert np.isnan(found.losses).tolist() == [True, False, True, True]
    one_hot = np.array([[np.nan] * 3, [0.2, 0.3, 0.5], [0.2, 0.3, 0.5], [0.5, 0.3, 0.2]])
    multi = windows.window(table(), one_hot, fitted("multiclass", ("maybe", "no", "yes")), group=None)
    assert multi.frame[windows.PREDICTION].tolist() == [None, "yes", "yes", "maybe"]
    assert np.isnan(multi.losses).tolist() == [True, False, True, False]
    assert windows.truth(multi, fitted("multiclass", ("maybe", "no", "yes"))).tolist()[:2] == [2.0, 1.0]


def test_windows_of_a_forecast_are_told_from_their_last_value():
    from pipeline.data.fitted import Forecast, Number

    targets = (Target("y", std=2.0),)
    fitted = Preprocessor("forecast", targets[0], (Number("y", "value"),), (), {}, forecast=Forecast("t", None, 3, 2, targets))
    past = np.array([[[1.0], [2.0], [5.0]], [[1.0], [4.0], [np.nan]]])
    truth, outputs = np.array([[[7.0], [9.0]], [[4.0], [4.0]]]), np.array([[[5.0], [5.0]], [[6.0], [4.0]]])
    made = windows.forecast_window({"y": past[:, :, 0]}, past, truth, outputs, fitted, np.array([0, 1]))
    assert made.frame[windows.PREDICTION].tolist() == [0.0, 0.5]  # in deviations of train
    assert made.frame["y"].tolist() == [1.5, 0.0]
    assert made.losses.tolist() == [2.5, 0.5]
    assert windows.kinds(made, fitted)["y (end)"] == "number"
