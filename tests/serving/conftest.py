"""A server of the finished repository's package, one for all tests of a file; and the same package in this process, to compare."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import pytest
import yaml
from conftest import purchases
from served import Server


@pytest.fixture(scope="session")
def rows() -> pd.DataFrame:
    """Raw rows as JSON has them: dates as texts, missing values as None."""
    found = purchases(200, seed=5)
    found["since"] = found["since"].dt.strftime("%Y-%m-%d")
    return found.astype(object).where(found.notna(), None)


@pytest.fixture(scope="module")
def server(package, finished, tmp_path_factory) -> Iterator[Server]:
    """With small limits, and a log that keeps the customer and hashes the city."""
    folder = tmp_path_factory.mktemp("server")
    serve = {"body_mb": 1.0, "timeout": 5.0, "keep": ["customer"], "hashed": ["city"]}
    (folder / "params.yaml").write_text(yaml.safe_dump(finished.params | {"serve": serve}))
    with Server(package, folder, "--log", str(folder / "log")) as found:
        found.log = folder / "log"
        yield found
