"""How values are spelled on the pages of a sweep."""

from __future__ import annotations

import pytest

from pipeline.tuning.report.formats import Absent, shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.00031415926, "0.0003142"), (1e-9, "1e-9"), (2.5e-5, "2.5e-5"), (1e6, "1,000,000"), (123456.7, "123,457"), (3e12, "3e12"),
        (0.0, "0"), (192, "192"), (1234567, "1,234,567"), (True, "true"), (False, "false"), (None, "null"), ("gelu", "gelu"),
        (Absent.ABSENT, "not used"),
    ],
)  # fmt: skip
def test_values_are_spelled_as_in_params_yaml(value, text):
    assert shown(value) == text
