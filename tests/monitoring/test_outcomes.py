"""Labels in whatever form they come."""

import numpy as np
import pyarrow as pa
import pytest

from pipeline.data.fitted import Preprocessor, Target
from pipeline.monitoring.outcomes import of_labels


def told(task, classes, values, kind=None):
    fitted = Preprocessor(task, Target("y", classes), (), (), {})
    found, unknown = of_labels(pa.chunked_array([pa.array(values, kind)]), fitted, len(values))
    return found.tolist(), unknown


@pytest.mark.parametrize(
    ("classes", "values", "expected", "unknown"),
    [
        (("0", "1"), [0, 1, None], ["0", "1", None], 0),
        (("0", "1"), [0.0, 1.0, float("nan")], ["0", "1", None], 0),
        (("0", "1"), ["0", "1.0", " 1 ", "", "2"], ["0", "1", "1", None, None], 1),
        (("false", "true"), [True, False], ["true", "false"], 0),
        (("no", "yes"), ["yes", "no", "maybe", None], ["yes", "no", None, None], 1),
        (("1.5", "2"), ["1.5", "2", "2.0", "1"], ["1.5", "2", "2", None], 1),
    ],
)
def test_classes(classes, values, expected, unknown):
    assert told("binary", classes, values) == (expected, unknown)


def test_numbers():
    found, unknown = told("regression", (), ["1.5", "2", "many", "", None])
    np.testing.assert_array_equal(found, [1.5, 2.0, np.nan, np.nan, np.nan])
    assert unknown == 1


def test_no_labels():
    fitted = Preprocessor("binary", Target("y", ("0", "1")), (), (), {})
    found, unknown = of_labels(None, fitted, 3)
    assert found.tolist() == [None] * 3
    assert unknown == 0
