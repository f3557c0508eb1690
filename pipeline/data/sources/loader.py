"""The user's load.py: its function load() returns the table."""

from __future__ import annotations

import linecache
import runpy
from pathlib import Path

import pyarrow as pa
from ibis.backends.duckdb import Backend

from pipeline.data.sources.parts import Source, mistake, storable
from pipeline.data.sources.rectangular import flattened
from pipeline.errors import UserError


def read(backend: Backend, file: Path) -> Source:
    """What `load()` of the user's load.py returns: a pandas or Arrow table, or a mapping of columns.

    Raises:
        UserError: there is no such function, it fails, or it returns no table.
    """
    try:
        module = runpy.run_path(str(file))
        if not callable(module.get("load")):
            raise mistake(file, "expected a function load() that returns a table")
        loaded = module["load"]()
    except UserError:
        raise
    except Exception as error:
        raise _failure(file, error) from error
    if hasattr(loaded, "to_pandas") and not isinstance(loaded, pa.Table):  # Ibis, Polars
        loaded = loaded.to_pandas()
    try:
        if hasattr(loaded, "iloc"):
            arrow = pa.Table.from_pandas(loaded, preserve_index=False)
        else:
            arrow = loaded if isinstance(loaded, pa.Table) else pa.table(loaded)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise mistake(file, f"load() returned no table ({type(loaded).__name__}): {error}") from None
    where = f"{file}: load() returned"
    schema = storable(arrow.schema, where)
    table = backend.create_table("loaded", arrow.rename_columns(schema.names).cast(schema), overwrite=True)
    return Source(flattened(table, where), {"kind": "load.py"})


def _failure(file: Path, error: Exception) -> UserError:
    trace, line = error.__traceback__, (error.lineno or 0) if isinstance(error, SyntaxError) and error.filename == str(file) else 0
    while trace:
        if trace.tb_frame.f_code.co_filename == str(file):
            line = trace.tb_lineno
        trace = trace.tb_next
    code = linecache.getline(str(file), line).strip()
    return mistake(f"{file}:{line}", f"load() raised {type(error).__name__}: {error}" + (f"  [{code}]" if code else ""))
