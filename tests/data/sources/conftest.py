"""A table engine, and sources written and read in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config import DataParams
from pipeline.data.engine import engine
from pipeline.data.sources import dispatch


@pytest.fixture(scope="session")
def backend(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIPELINE_STATE", str(tmp_path_factory.mktemp("state")))
        with engine() as connection:
            yield connection


@pytest.fixture
def read(backend, tmp_path_factory):
    """Read a path with params of data: a Source."""

    def read(path: Path | str, **params):
        data = DataParams(source=str(path), **{"target": "b", **params})
        return dispatch.read(backend, data, workspace=tmp_path_factory.mktemp("workspace"))

    return read


@pytest.fixture
def rows(backend, read):
    """Read a path with params of data: its rows as dicts."""

    def rows(path: Path | str, **params):
        return backend.to_pyarrow(read(path, **params).table).to_pylist()

    return rows


@pytest.fixture
def get(backend, read, tmp_path):
    """Read content as a text table: its columns as lists, and the source."""

    def get(content, name="rows.csv", target="b", **csv):
        file = tmp_path / name
        if content is not None:
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
        source = read(file, target=target, csv=csv)
        return backend.to_pyarrow(source.table).to_pydict(), source

    return get
