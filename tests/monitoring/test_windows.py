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
    frame = pd.DataFrame({"age": np.arange(rows, dtype=float), "y": ["yes"] * rows})
    single = Preprocessor("binary", Target("y", ("no", "yes")), (Number("age", "value"),), (), {})
    whole = windows.window(frame, np.full(rows, 0.5), single, group=None)
    parts = list(windows.cut(whole, size, most=100))
    assert [len(part) for part in parts] == expected
    assert sorted(v for part in parts for v in part.frame["age"]) == list(range(rows))


def test_groups_are_not_torn_apart():
    groups = np.repeat(np.arange(10), 7)
    frame = pd.DataFrame({"age": np.arange(70.0), "y": ["yes"] * 70, "g": groups.astype(str)})
    single = Preprocessor("binary", Target("y", ("no", "yes")), (Number("age", "value"),), (), {})
    parts = list(windows.cut(windows.window(frame, np.full(70, 0.5), single, group="g"), 20, most=100))
    assert [len(part) for part in parts] == [21, 21, 28]
    seen = [set(part.groups.tolist()) for part in parts]
    assert sum(map(len, seen)) == 10


def test_the_order_of_groups_does_not_depend_on_their_size():
    """Else the first windows would hold the large groups, and differ from the rest without any change."""
    sizes = np.random.default_rng(0).integers(1, 60, 300)
    frame = pd.DataFrame({"age": 1.0, "y": "yes", "g": np.repeat([f"person {at}" for at in range(300)], sizes)})
    frame = frame.sample(frac=1, random_state=1).reset_index(drop=True)  # as by row id: large groups tend to come up first
    single = Preprocessor("binary", Target("y", ("no", "yes")), (Number("age", "value"),), (), {})
    codes = windows.window(frame, np.full(len(frame), 0.5), single, group="g").groups
    mean_size = [np.bincount(codes)[:100].mean(), np.bincount(codes)[200:].mean()]
    assert mean_size[0] == pytest.approx(mean_size[1], rel=0.2)


def test_a_reference_with_test_rows_knows_losses_of_those_alone():
    validation = windows.window(table(), np.full(4, 0.5), fitted(), group="person")
    test = windows.window(table(), np.full(4, 0.25), fitted(), group="person")
    both = windows.reference(validation, [test])
    assert len(both) == 8
    assert np.isnan(both.losses[:4]).all()
    np.testing.assert_array_equal(both.losses[4:], test.losses)
    np.testing.assert_array_equal(windows.reference(validation, []).losses, validation.losses)


def test_no_rows_give_no_window():
    empty = windows.window(table().head(0), np.empty(0), fitted(), group="person")
    assert list(windows.cut(empty, 10, most=5)) == []


def test_many_rows_make_larger_windows_rather_than_more():
    frame = pd.DataFrame({"age": np.arange(1000.0), "y": ["yes"] * 1000})
    single = Preprocessor("binary", Target("y", ("no", "yes")), (Number("age", "value"),), (), {})
    whole = windows.window(frame, np.full(1000, 0.5), single, group=None)
    assert [len(part) for part in windows.cut(whole, 10, most=4)] == [250] * 4
    assert len(windows.sample(whole, 300)) == 300
    assert windows.sample(whole, 2000) is whole


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
