"""A server from its start to its end: the socket, the package's processes, the watch on the registry, the inference log."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import logging
import os
import secrets
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
import uvicorn

from pipeline import paths
from pipeline.config import ServeParams
from pipeline.errors import UserError
from pipeline.inference_log.writing import Log
from pipeline.secrets import API_KEY
from pipeline.serving import app, champion, forms
from pipeline.serving.about import About
from pipeline.serving.pool import Generation
from pipeline.serving.recording import Recorder

HASH_KEY = "PIPELINE_HASH_KEY"
WARM = (1, 1, 3, 16, 64)  # rows of the tables that a process answers before it counts as ready: its graphs are made meanwhile
FLUSH = 0.25  # seconds until rows that the log has are on disk: with those that gather them, and a slow disk, less than a second
STOP = 30  # seconds in which requests may end when the server is told to stop
IDLE = 75  # seconds that a connection is kept open
RETRY, LONGEST_RETRY = 60.0, 3600.0  # seconds before a version that could not be loaded is tried again
STOPS = (signal.SIGINT, signal.SIGTERM)
LOCAL = ("127.0.0.1", "localhost", "::1")
log = logging.getLogger("pipeline")


Started = Callable[[str, app.Served, float], None]


def serve(model: str, params: ServeParams, *, inference_log: Path | None, started: Started) -> None:
    """Serve `model` until SIGTERM or SIGINT; requests that have come are answered first.

    Args:
        model: a folder, models:/NAME/VERSION, or models:/NAME@ALIAS, which is followed when it moves.
        inference_log: folder, None for none.
        started: told of the address, what serves there, and the seconds it took, when requests can be answered.

    Raises:
        UserError: there is no such package, it does not answer its own example, or the port is taken.
    """
    listening = _bound(params.host, params.port)
    key = os.environ.get(API_KEY) or None
    if params.host not in LOCAL and not key:
        log.warning("%s is open to whoever reaches it: set %s to a key that requests must show", params.host, API_KEY)
    loop = uvicorn.Config("", loop="auto").get_loop_factory()
    with listening, champion.home() as home, asyncio.Runner(loop_factory=loop) as runner:
        runner.run(_Running(model, params, listening, key, inference_log, home).run(started))


def _bound(host: str, port: int) -> socket.socket:
    """A socket at the address; it takes no connection yet."""
    found = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
    except OSError as error:
        found.close()
        raise UserError(f"serve: {host}, port {port}: {error.strerror}; --host and --port choose another") from None
    return found


class _Running:
    def __init__(
        self, model: str, params: ServeParams, listening: socket.socket, key: str | None, inference_log: Path | None, home: Path
    ) -> None:
        self.model, self.params, self.listening, self.inference_log, self.home = model, params, listening, inference_log, home
        self.served = app.Served(params, key)
        self.look = asyncio.Event()  # at the registry, now
        self.ending: set[asyncio.Task[None]] = set()

    async def run(self, started: Started) -> None:
        main, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert main is not None
        for name in STOPS:
            loop.add_signal_handler(name, main.cancel)
        loop.add_signal_handler(signal.SIGHUP, self.look.set)
        begun = loop.time()
        try:
            identity = await asyncio.to_thread(champion.required, self.model)
            self.served.generation = await self._generation(identity)
            self.served.recorder = self._recorder()
            server = _Server(self._config())
            for name in STOPS:
                loop.add_signal_handler(name, server.stop)
            watch = asyncio.create_task(self._watch(identity))
            try:
                await server.until_stopped(self.listening, lambda address: started(address, self.served, loop.time() - begun))
            finally:
                watch.cancel()
                await asyncio.gather(watch, self.served.generation.stop(), *self.ending, return_exceptions=True)
                if self.served.recorder:
                    await asyncio.to_thread(self.served.recorder.close)
        except asyncio.CancelledError:  # told to stop before it had started
            log.info("stopped")

    def _config(self) -> uvicorn.Config:
        return uvicorn.Config(
            app.build(self.served),
            http="httptools",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=IDLE,
            timeout_graceful_shutdown=STOP,
        )

    def _recorder(self) -> Recorder | None:
        if not self.inference_log:
            return None
        try:
            found = Log(
                self.inference_log, flush=FLUSH, keep_bytes=int(self.params.log_gb * 1e9), keep_seconds=self.params.log_days * 86_400
            )
        except OSError as error:
            raise UserError(f"serve: inference log {self.inference_log}: {error.strerror}; --log names another folder") from None
        return Recorder(found, self.params, _secret() if self.params.hashed else b"")

    async def _generation(self, identity: str) -> Generation:
        """The processes of a package, ready to answer."""
        found = await asyncio.to_thread(champion.fetched, identity, self.home)
        params = self.params
        generation = Generation(
            found.about, found.package, found.held, warming(found.about), self.served.answered, params.workers, params.waiting
        )
        await generation.start()
        return generation

    async def _watch(self, identity: str) -> None:
        """Replace the package when its alias moves; what cannot be loaded leaves the present one in its place."""
        loop = asyncio.get_running_loop()
        failed, again, pause = "", 0.0, RETRY
        silent = False
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.params.reload):
                    await self.look.wait()
            told = self.look.is_set()
            self.look.clear()
            try:
                found = await asyncio.to_thread(champion.identity, self.model)
                silent = False
            except Exception as error:  # sqlite, HTTP and MLflow errors have no common base
                if not silent:
                    log.warning("the registry cannot be asked (%s): what serves stays", error)
                silent = True
                continue
            if found is None or (not told and (found == identity or (found == failed and loop.time() < again))):
                continue
            try:
                fresh = await self._generation(found)
            except Exception as error:
                self.served.counts.reloads.labels("failed").inc()
                pause = min(2 * pause, LONGEST_RETRY) if found == failed else RETRY
                failed, again = found, loop.time() + pause
                log.error("%s cannot be served, %s stays: %s", found, identity, error)
                continue
            self.served.generation, before = fresh, self.served.generation
            end = asyncio.create_task(before.stop())
            self.ending.add(end)
            end.add_done_callback(self.ending.discard)
            self.served.counts.reloads.labels("done").inc()
            log.info("%s serves now, no longer %s", found, identity)
            identity, failed = found, ""


class _Server(uvicorn.Server):
    """uvicorn's server in a loop that has other work too: signals are the loop's, and the start is told."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    def stop(self) -> None:
        """Take no more connections, and end after the requests that have come; told again, end at once."""
        self.force_exit = self.should_exit
        self.should_exit = True

    async def until_stopped(self, listening: socket.socket, started: Callable[[str], None]) -> None:
        running = asyncio.create_task(self.serve(sockets=[listening]))
        while not self.started and not running.done():
            await asyncio.sleep(0.01)
        if self.started:
            host, port = listening.getsockname()[:2]
            started(f"http://{f'[{host}]' if ':' in host else host}:{port}")
        await running


def warming(about: About) -> list[pa.Table]:
    """Tables of the package's example rows, by which a process is made ready."""
    if not about.example:
        return []
    sizes = [len(about.example)] * 2 if about.whole else WARM
    rows = [list(itertools.islice(itertools.cycle(about.example), size)) for size in sizes]
    return [forms.table(json.dumps({"dataframe_records": some}).encode(), "application/json", about) for some in rows]


def _secret() -> bytes:
    """The key of hashed values: $PIPELINE_HASH_KEY, else one that is made once and kept with the state."""
    if given := os.environ.get(HASH_KEY):
        return hashlib.sha256(given.encode()).digest()
    file = paths.state() / "hash.key"
    with suppress(FileExistsError), open(file, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as out:
        out.write(secrets.token_bytes(32))
    return file.read_bytes()
