"""A package in a process of its own, seen from an event loop."""

from __future__ import annotations

import asyncio
import os
import tempfile
from contextlib import suppress

import pyarrow as pa

from pipeline import child
from pipeline.packaging import Package

PATIENCE = 60.0  # seconds that a process may take for a block before it is taken for hung
THREADS = "TF_NUM_INTRAOP_THREADS"


class Died(Exception):
    """The package's process ended; the text says how."""


class Process:
    """A package in a fresh process, seen from an event loop: `child.Child` for one that must not wait.

    Args:
        threads: of TensorFlow, unless the environment says how many.
    """

    def __init__(self, package: Package, threads: int) -> None:
        self.package, self.threads = package, threads
        self.noise = tempfile.TemporaryFile()  # noqa: SIM115  (closed in stop)

    async def start(self) -> None:
        pipe = asyncio.subprocess.PIPE
        environment = {THREADS: str(self.threads), **os.environ}
        # a session of its own: Ctrl-C is the server's to answer, which lets what is asked be answered first
        self.process = await asyncio.create_subprocess_exec(
            *child.command(self.package), stdin=pipe, stdout=pipe, stderr=self.noise, start_new_session=True, env=environment
        )

    async def ask(self, table: pa.Table, patience: float = PATIENCE) -> pa.Table:
        """The answers for `table`.

        Raises:
            Refused: the package does not take the rows.
            Died: its process ended, or was ended since it gave no answer in time.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            async with asyncio.timeout(patience):
                self.process.stdin.writelines(memoryview(part) for part in child.message(table))
                await self.process.stdin.drain()
                head = await self.process.stdout.readexactly(child.HEAD)
                reply = await self.process.stdout.readexactly(child.expected(head))
        except (ConnectionError, asyncio.IncompleteReadError):
            code = await self.process.wait()
            raise Died(child.death(self.package, code, self.noise)) from None
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
            raise Died(f"the model's process gave no answer for {patience:.0f} s and was ended") from None
        try:
            return child.answer(head, reply)
        except (pa.ArrowException, ValueError, KeyError) as error:
            self.process.kill()
            await self.process.wait()
            raise Died(f"the model's process gave an answer that cannot be read ({error}) and was ended") from None

    async def stop(self) -> None:
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        self.noise.close()
