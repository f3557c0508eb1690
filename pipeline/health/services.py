"""What a project talks to: the MLflow store, the database of sweeps, the port that it serves on."""

from __future__ import annotations

import errno
import importlib.util
import os
import socket
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from typing import Any

import psutil

from pipeline import paths
from pipeline.errors import masked
from pipeline.health import locks, places
from pipeline.health.finding import Finding, fail, ok, warn
from pipeline.tracking import glance
from pipeline.tracking.journal import all_of
from pipeline.tracking.store import meant

PORTS = {"postgresql": 5432, "postgres": 5432, "mysql": 3306, "http": 80, "https": 443, "redis": 6379}
PATIENCE = 2.0  # seconds


def examine(params: Mapping[str, Any]) -> Iterator[Finding]:
    """All that concerns services.

    Args:
        params: params.yaml as it is written.
    """
    yield store()
    yield from unsent()
    yield from sweeps(_of(params, "tune", "storage"))
    yield from port(_of(params, "serve", "host"), _of(params, "serve", "port"))


def store() -> Finding:
    """Whether the MLflow store answers."""
    uri = places.store()
    shown = masked(uri)
    mend = "nothing is lost meanwhile; `pipeline sync` sends it later"
    if "://" in uri and not uri.startswith(("sqlite:", "http:", "https:")):
        return _reached("store", uri) or ok("store", f"{shown} takes connections")
    try:
        found = glance.look(uri)
    except glance.Away as error:
        file = glance.file_of(uri)
        held = "; ".join(locks.named(pid) for pid in locks.holders(file)) if file else ""
        return warn("store", f"{error}{f'; held by {held}' if held else ''}", mend)
    if found is None:
        return (
            ok("store", "SQLite in .state, made by the first run")
            if "MLFLOW_TRACKING_URI" not in os.environ
            else ok("store", f"{shown}, not made yet")
        )
    runs = f", {found.runs} runs" if found.runs is not None else ""
    return ok("store", f"{found.what}{runs}, answers in {1000 * found.seconds:.0f} ms; {shown}")


def unsent() -> Iterator[Finding]:
    """Runs of which the store lacks something, and on which nobody is at work."""
    if not places.has_state():
        return
    folder = paths.state_folder() / "locks"
    left = [one for one in all_of(meant()) if not one.sent["run_id"] or one.sent["at"] < one.size]
    if idle := [one for one in left if not locks.holders(folder / f"run-{one.key}.lock")]:
        yield warn("sends", f"{len(idle)} run{'s' if len(idle) > 1 else ''} of which the MLflow store lacks something", "pipeline sync")


def sweeps(storage: Any) -> Iterator[Finding]:
    """Whether the database that many machines share for a sweep can be reached."""
    if not isinstance(storage, str):
        return
    url = storage if "://" in storage else os.environ.get(storage, "")
    if not url:
        yield fail(
            "sweeps", f"tune.storage names the environment variable {storage}, which is not set", f"export {storage}=postgresql://..."
        )
    elif url.startswith("sqlite"):
        yield ok("sweeps", masked(url))
    elif url.startswith("postgres") and importlib.util.find_spec("psycopg") is None:
        yield fail("sweeps", f"{masked(url)} needs psycopg, which is not installed", "make run")
    else:
        found = _reached("sweeps", url)
        # without it tune fails, which is no matter of comfort
        yield (
            fail(found.what, found.told, "start the database, or leave tune.storage out: then a file in .state is used")
            if found
            else ok("sweeps", f"{masked(url)} takes connections")
        )


def port(host: Any, number: Any) -> Iterator[Finding]:
    """Whether `pipeline serve` would get its port."""
    host, number = host if isinstance(host, str) else "127.0.0.1", number if isinstance(number, int) else 8000
    if not number:
        return
    try:
        with closing(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # ports whose connections just ended are free
            tried.bind((host, number))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            pid = _listening(number)
            by = f" by {locks.named(pid)}" if pid else ""
            yield warn("port", f"{number} is taken{by}", f"serve.port: another one, or pipeline serve --port {number + 1}")
        elif error.errno == errno.EACCES:
            yield warn("port", f"{number} is kept for the system's administrator", "serve.port: 8000, or another one from 1024 on")
        else:
            yield warn("port", f"{host} port {number}: {error.strerror or error}", "serve.host: 127.0.0.1, or 0.0.0.0 for all addresses")
    else:
        yield ok("port", f"{number} is free for `pipeline serve`")


def _listening(number: int) -> int | None:
    """The process that listens on a port, where the system tells."""
    with suppress(psutil.Error, OSError):
        for one in psutil.net_connections("tcp"):
            if one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == number:
                return one.pid
    return None


def _reached(what: str, url: str) -> Finding | None:
    """What keeps a server from taking a connection; None where nothing does."""
    try:
        parts = urllib.parse.urlsplit(url)
        host, at = parts.hostname or "localhost", parts.port or PORTS.get(parts.scheme.partition("+")[0])
    except ValueError as error:
        return warn(what, f"{masked(url)}: {error}", "correct the address")
    if at is None:
        return None  # an address whose kind is not known here
    try:
        socket.create_connection((host, at), timeout=PATIENCE).close()
    except OSError as error:
        return warn(what, f"{masked(url)}: {host} port {at}: {error.strerror or error}", "is it running, and may this machine reach it?")
    return None


def _of(params: Mapping[str, Any], *keys: str) -> Any:
    found: Any = params
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found
