"""A PostgreSQL server for tests, where one is installed."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

PLACES = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), *(Path(p) for p in os.environ["PATH"].split(os.pathsep))]
POSTGRES = next((place for place in PLACES if (place / "initdb").is_file() and (place / "pg_ctl").is_file()), None)


@pytest.fixture(scope="module")
def postgres():
    """A PostgreSQL server of our own on 127.0.0.1, which refuses to run as root."""
    if POSTGRES is None:
        pytest.skip("no PostgreSQL server is installed")
    user = "nobody" if os.getuid() == 0 else getpass.getuser()
    run = ["runuser", "-u", user, "--"] if os.getuid() == 0 else []
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = Path(tempfile.mkdtemp(prefix="postgres-"))
    home.chmod(0o777)
    data = home / "data"
    (home / "password").write_text("hushhush")
    (home / "password").chmod(0o644)
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "cwd": home}
    try:
        subprocess.run(
            [*run, POSTGRES / "initdb", "-D", data, "-U", "me", "-A", "md5", f"--pwfile={home / 'password'}", "-E", "UTF8"], **quiet
        )
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={home} -c fsync=off"
        subprocess.run([*run, POSTGRES / "pg_ctl", "-D", data, "-w", "-o", options, "-l", home / "log", "start"], **quiet)
        yield f"postgresql+psycopg://me:hushhush@127.0.0.1:{port}/postgres"
        subprocess.run([*run, POSTGRES / "pg_ctl", "-D", data, "-m", "immediate", "stop"], **quiet)
    finally:
        shutil.rmtree(home, ignore_errors=True)
