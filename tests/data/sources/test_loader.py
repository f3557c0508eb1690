"""load.py may return any table; each bad one is one clear line."""

from __future__ import annotations

import datetime
import sys

import numpy as np
import pytest

from pipeline.errors import UserError


@pytest.fixture
def load(backend, read, tmp_path):
    """Read a folder whose load.py holds this code."""

    def load(code):
        folder = tmp_path / "source"
        folder.mkdir(exist_ok=True)
        (folder / "load.py").write_text(code)
        source = read(folder)
        assert source.found["kind"] == "load.py"
        return backend.to_pyarrow(source.table)

    return load


@pytest.mark.parametrize(
    "body",
    [
        "import pandas as pd\ndef load():\n    return pd.DataFrame({'a': [1, 2], 'b': ['x', None]}, index=[7, 8])\n",
        "import pyarrow as pa\ndef load():\n    return pa.table({'a': [1, 2], 'b': ['x', None]})\n",
        "def load():\n    return {'a': [1, 2], 'b': ['x', None]}\n",
        "rows = {'a': [1, 2]}\ndef load():\n    return rows | helper()\ndef helper():\n    return {'b': ['x', None]}\n",
    ],
)
def test_loader_may_return_any_table(load, body):
    assert load(body).to_pydict() == {"a": [1, 2], "b": ["x", None]}


def test_loader_keeps_types(load):
    columns = "{'f': np.float32([1.5]), 'b': [True], 'd': pd.to_datetime(['2020-01-02']), 'c': pd.Categorical(['x'])}"
    code = f"import numpy as np\nimport pandas as pd\ndef load():\n    return pd.DataFrame({columns})\n"
    found = load(code)
    assert found.to_pylist() == [{"f": 1.5, "b": True, "d": datetime.datetime(2020, 1, 2), "c": "x"}]
    assert [str(kind)[:9] for kind in found.schema.types] == ["float", "bool", "timestamp", "string"]


def test_loader_may_return_an_all_missing_column(load):
    assert load("def load():\n    return {'a': [None, None], 'b': [1, 2]}").to_pydict() == {"a": [None, None], "b": [1, 2]}


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("x = 1\n", r"load.py: expected a function load\(\) that returns a table$"),
        ("load = 3\n", r"load.py: expected a function load\(\) that returns a table$"),
        (
            "def load():\n    x = 1\n    return x / 0\n",
            r"load.py:3: load\(\) raised ZeroDivisionError: division by zero \[return x / 0\]$",
        ),
        ("def load():\n    return {}['load']\n", r"load.py:2: load\(\) raised KeyError: 'load'"),
        ("import nothing_of_this_name\n", r"load.py:1: load\(\) raised ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("x = 1\ndef load(:\n", r"load.py:2: load\(\) raised SyntaxError"),
        ("def load():\n    return None\n", r"load\(\) returned no table \(NoneType\)"),
        ("def load():\n    return [1, 2]\n", r"load\(\) returned no table \(list\)"),
        (
            "def load():\n    return {'a': [1, 2], 'b': [1]}\n",
            r"load\(\) returned no table \(dict\): Column 1 named b expected length 2 but got length 1",
        ),
        ("def load():\n    return {}\n", r"load\(\) returned: expected a table with columns, got one without$"),
        (
            "import pandas as pd\ndef load():\n    return pd.DataFrame({'a': [1, 'x']})\n",
            r"load\(\) returned no table \(DataFrame\): .*column a",
        ),
        ("def load():\n    return {'Age': [1], 'age': [2]}\n", r"columns 'Age' and 'age' have the same name"),
        (
            "import pandas as pd\ndef load():\n    return pd.DataFrame({'a': pd.to_timedelta([1], 'h')})\n",
            r"no place here: a \(duration\[ns\]\); make them numbers",
        ),
    ],
)
def test_bad_loader_is_one_clear_line(load, code, message):
    with pytest.raises(UserError, match=message) as caught:
        load(code)
    assert len(caught.value.messages) == 1


def test_loader_leaves_nothing_behind(load, tmp_path):
    before = set(sys.modules)
    load("def load():\n    return {'a': [1]}")
    assert [entry.name for entry in (tmp_path / "source").iterdir()] == ["load.py"]
    assert "load" not in set(sys.modules) - before


def test_nan_in_arrays_is_kept_for_clean_to_judge(load):
    found = load("import numpy as np\ndef load():\n    return {'a': np.array([1.0, np.nan])}")
    assert np.isnan(found["a"].to_pylist()[1])
