"""A package's processes, to which the rows of requests are shared out.

What waits when a process is free goes to it together, up to MOST_TOGETHER rows: an answer for many rows takes hardly longer than for one.
A process that dies is replaced, and what it had is asked again, each request alone, so that one that kills it harms no other.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from pipeline import resources
from pipeline.child import Refused
from pipeline.errors import UserError
from pipeline.packaging import Package
from pipeline.serving.about import About
from pipeline.serving.process import Died, Process

MOST_TOGETHER = 512  # rows of several requests that are asked together
BLOCK = 4096  # rows of a large request that are asked at once: others come in between
DEATHS = 2  # of a process over the same rows until these are given up
START = 300.0  # seconds that it may take to load
LAST = 60.0  # seconds for the last requests of a package that is replaced
PAUSES = (0.0, 1.0, 5.0, 30.0)  # seconds before a process that does not start is started again
log = logging.getLogger("pipeline")


class Busy(Exception):
    """More requests wait than may."""


@dataclass
class Asked:
    """Rows that wait for their answer."""

    table: pa.Table
    about: Any
    """Who asks, as the pool's user sees it."""
    answer: asyncio.Future[pa.Table]
    first: int = 0
    """Place in the request of its first row."""
    alone: bool = False
    """Not with others: with them it was asked in vain."""
    deaths: int = 0
    """Of processes that were answering it."""


Answered = Callable[[Sequence[Asked], pa.Table, pa.Table], None]


@dataclass
class Generation:
    """One package and its processes; when another takes its place, it ends after its last request.

    Args:
        held: closed at the end: the folder of a fetched package.
        warm: tables that each process answers before it counts as ready.
        answered: told of rows together, as the package got them, and of their answers.
        most_waiting: requests.
    """

    about: About
    package: Package
    held: ExitStack
    warm: Sequence[pa.Table]
    answered: Answered
    workers: int = 1
    most_waiting: int = 1000
    ready: int = 0
    """Processes that can answer."""
    restarts: int = 0
    users: int = 0
    """Requests that have begun with this package and have not ended."""
    waiting: deque[Asked] = field(default_factory=deque)
    failure: str = ""
    """Why a process could not be started, at last."""

    async def start(self) -> None:
        """Start its processes and wait until they answer.

        Raises:
            UserError: the package does not load, or does not answer its own example.
        """
        self.wake, self.unused = asyncio.Event(), asyncio.Event()
        self.unused.set()
        started = await asyncio.gather(*(self._process() for _ in range(self.workers)), return_exceptions=True)
        processes = [one for one in started if isinstance(one, Process)]
        mistakes = [one for one in started if isinstance(one, BaseException)]
        if mistakes:
            await asyncio.gather(*(process.stop() for process in processes))
            self.held.close()
            if isinstance(mistakes[0], Died | Refused):
                raise UserError(str(mistakes[0])) from None
            raise mistakes[0]
        self.tasks = [asyncio.create_task(self._work(process)) for process in processes]

    async def ask(self, table: pa.Table, about: Any) -> pa.Table:
        """The answers for a request's rows; a large one is asked in blocks, so that others come in between.

        Raises:
            Busy: too many requests wait.
            Refused: the package does not take the rows.
            Died: its process ended over them, twice.
        """
        if self.about.whole or len(table) <= BLOCK:
            return await self._one(table, about)
        parts = [await self._one(table.slice(start, BLOCK), about, start) for start in range(0, len(table), BLOCK)]
        return pa.concat_tables(parts, promote_options="permissive")

    async def stop(self, patience: float = LAST) -> None:
        """End when the last request has its answer, or after so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self.unused.wait()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.held.close()

    def __enter__(self) -> Generation:
        """Hold it in place while a request is on its way."""
        self.users += 1
        self.unused.clear()
        return self

    def __exit__(self, *_: object) -> None:
        self.users -= 1
        if not self.users:
            self.unused.set()

    async def _one(self, table: pa.Table, about: Any, first: int = 0) -> pa.Table:
        if len(self.waiting) >= self.most_waiting:
            raise Busy(f"{self.most_waiting:,} requests wait already")
        asked = Asked(table, about, asyncio.get_running_loop().create_future(), first)
        self.waiting.append(asked)
        self.wake.set()
        return await asked.answer

    async def _process(self) -> Process:
        # a core is left to the server: more threads than cores make each wait for the others
        process = Process(self.package, max(1, (resources.cores() - 1) // self.workers))
        await process.start()
        async with AsyncExitStack() as failed:
            failed.push_async_callback(process.stop)
            for table in self.warm:
                await process.ask(table, START)
            failed.pop_all()
        self.ready += 1
        return process

    async def _work(self, process: Process) -> None:
        try:
            while True:
                together = await self._taken()
                table = pa.concat_tables([one.table for one in together])
                try:
                    self._give(together, table, await process.ask(table))
                except Refused as refused:
                    self._again(together, refused, last=len(together) == 1)
                except Died as died:
                    log.warning("%s; it is started again", died)
                    for one in reversed(together):
                        one.deaths += 1
                        self._again([one], died, last=one.deaths >= DEATHS)
                    process = await self._replaced(process)
        finally:
            await process.stop()

    async def _taken(self) -> list[Asked]:
        """The requests that are next: the first, and those of the same columns and types behind it."""
        found: list[Asked] = []
        rows = 0
        while not found:
            while not self.waiting:
                self.wake.clear()
                await self.wake.wait()
            while self.waiting:
                coming = self.waiting[0]
                rows += len(coming.table)
                if found and (self.about.whole or rows > MOST_TOGETHER or found[0].alone or coming.alone or not _alike(found[0], coming)):
                    break
                self.waiting.popleft()
                if not coming.answer.done():  # who has gone asks no more
                    found.append(coming)
        return found

    def _give(self, together: Sequence[Asked], table: pa.Table, answer: pa.Table) -> None:
        if not self.about.whole and len(answer) != len(table):
            self._again(together, Died(f"expected an answer a row, got {len(answer)} for {len(table)} rows"), last=True)
            return
        try:
            self.answered(together, table, answer)
        except Exception:  # the work must go on
            log.exception("answers could not be recorded")
        at = 0
        for one in together:
            count = len(answer) if self.about.whole else len(one.table)
            if not one.answer.done():
                one.answer.set_result(answer.slice(at, count))
            at += count

    def _again(self, asked: Sequence[Asked], error: Exception, *, last: bool) -> None:
        """Ask each again, alone and before all others, or, where that was the last time, tell it of the error."""
        for one in reversed(asked):
            if not last:
                one.alone = True
                self.waiting.appendleft(one)
            elif not one.answer.done():
                one.answer.set_exception(error)
        self.wake.set()

    async def _replaced(self, process: Process) -> Process:
        """A new process in the place of one that died, after some pauses where none will start."""
        self.ready -= 1
        await process.stop()
        for pause in itertools.chain(PAUSES, itertools.repeat(PAUSES[-1])):
            await asyncio.sleep(pause)
            try:
                found = await self._process()
            except (Died, Refused) as error:
                self.failure = str(error)
                log.error("%s", error)
            else:
                self.restarts += 1
                self.failure = ""
                return found
        raise AssertionError("the pauses do not end")


def _alike(one: Asked, other: Asked) -> bool:
    return bool(one.table.schema.equals(other.table.schema))
