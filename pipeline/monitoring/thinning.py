"""An even share of the rows of a stream whose length is not known."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa

from pipeline.errors import UserError


class Thinned:
    """Rows of a stream of unknown length, at most `most` of them: every row, then every second by its hash, then every fourth."""

    def __init__(self, most: int) -> None:
        self.most, self.level, self.rows, self.held = most, 0, 0, list[tuple[pa.Table, np.ndarray]]()
        self.seen = 0

    def add(self, table: pa.Table, hashes: np.ndarray) -> None:
        """Take rows; `hashes` (rows,) uint64 say which ones stay."""
        mixed = hashes * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(32)  # neighbours far apart (Knuth, TAOCP 3, 6.4)
        self.seen += len(table)
        self._keep(table, mixed)
        while self.rows > self.most:
            self.thin()

    def thin(self) -> None:
        """Let every second of the rows go."""
        self.level += 1
        held, self.held, self.rows = self.held, [], 0
        for table, mixed in held:
            self._keep(table, mixed)

    def table(self) -> pa.Table:
        """What is kept, in the order it came; a column that only some rows have is missing in the others.

        Raises:
            UserError: a column is of types that do not go together.
        """
        try:
            return pa.concat_tables([table for table, _ in self.held], promote_options="permissive") if self.held else pa.table({})
        except pa.ArrowException as error:
            raise UserError(f"rows of one window have a column of different types: {' '.join(str(error).split())[:200]}") from None

    def digest(self) -> str:
        """Of what is kept, and of how many rows there were."""
        found = hashlib.sha256(str(self.seen).encode())
        table = self.table()
        for name in table.column_names:
            (values,) = table.select([name]).combine_chunks().to_batches() or [pa.RecordBatch.from_pydict({name: []})]
            found.update(values.serialize())
        return found.hexdigest()[:16]

    def _keep(self, table: pa.Table, mixed: np.ndarray) -> None:
        stays = mixed % np.uint64(2**self.level) == 0
        if not stays.all():
            table, mixed = table.filter(pa.array(stays)), mixed[stays]
        if len(table) or not self.held:
            self.held.append((table, mixed))
            self.rows += len(table)
