"""A model behind the HTTP of `pipeline serve`, asked as `child.Child` asks one here."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import requests

from pipeline.child import Refused
from pipeline.errors import UserError
from pipeline.packaging import ARROW
from pipeline.secrets import API_KEY

PARQUET = "application/vnd.apache.parquet"
BLOCK = 8192  # rows of a request
SECONDS = (10, 300)  # to connect, and between two pieces of an answer
PATIENCE = 60.0  # seconds in which a server that is busy or being replaced is asked again
PAUSE = 0.5
AGAIN = (502, 503)


@dataclass(frozen=True)
class Model:
    """What a server says of its model: see `packaging.Package`; `outputs` are the columns of an answer and their types."""

    columns: tuple[str, ...]
    whole: bool
    outputs: Mapping[str, str]
    sequences: tuple[str, ...] = ()


class Remote:
    """A server that answers tables one after another; as a context its connection ends with the block.

    Args:
        url: of the server, with or without /invocations.

    Raises:
        UserError: nothing answers there, or it is no such server.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/").removesuffix("/invocations")
        self.session = requests.Session()
        if key := os.environ.get(API_KEY):
            self.session.headers["Authorization"] = f"Bearer {key}"
        found = self._asked("GET", "/model")
        if found.status_code == 401:
            raise UserError(f"{self.url}: the server asks for its key: set {API_KEY} to it")
        try:
            about = found.json()
            sequences = tuple(name for name, kind in about.get("kinds", {}).items() if kind == "sequence")
            self.model = Model(tuple(about["columns"]), about["whole"], about["outputs"], sequences)
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{self.url}: expected a server of `pipeline serve`, got status {found.status_code} for /model") from None

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.session.close()

    def ask(self, table: pa.Table) -> pa.Table:
        """The answers for `table`; rows that are refused say why.

        Raises:
            Refused: the server does not take the rows.
            UserError: it does not answer.
        """
        body = io.BytesIO()
        pq.write_table(table, body, compression="zstd")
        found = self._asked("POST", "/invocations", data=body.getvalue(), headers={"Content-Type": PARQUET})
        try:
            told = found.json()
        except ValueError:
            raise UserError(f"{self.url}: status {found.status_code}, and no JSON: {found.text[:200]!r}") from None
        if "predictions" in told:  # of status 422 too, where all rows are refused
            return self._table(told["predictions"])
        text = told.get("message", found.text[:500])
        if found.status_code in (400, 413, 422):
            raise Refused(None, text)
        raise UserError(f"{self.url}: status {found.status_code}: {text}")

    def _asked(self, method: str, path: str, **more: Any) -> requests.Response:
        """The response; one that says that the server is busy is not taken for an answer for PATIENCE seconds."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                found = self.session.request(method, self.url + path, timeout=SECONDS, allow_redirects=False, **more)
            except requests.RequestException as error:
                raise UserError(f"{self.url}{path}: {_reason(error)}") from None
            if found.status_code not in AGAIN or time.monotonic() > end:
                return found
            time.sleep(PAUSE)

    def _table(self, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
        names = list(self.model.outputs) if not rows else list(rows[0])
        columns = {name: [row[name] for row in rows] for name in names}
        return pa.table({name: pa.array(values, ARROW.get(self.model.outputs.get(name, ""))) for name, values in columns.items()})


def _reason(error: requests.RequestException) -> str:
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.ConnectionError):
        return "nothing answers there"
    return str(error)
