"""Servers of our own on 127.0.0.1: files over http, with a few ways to fail, and s3."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import os
import threading
import time
from collections.abc import Iterator


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files with an ETag; /refused answers 403, /broken breaks off, /slow never ends."""

    etag = True

    def do_GET(self):
        if self.path.startswith("/refused"):
            self.send_error(403)
        elif self.path.startswith("/broken"):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"a,b\n1,2\n")
        elif self.path.startswith("/named-by-type"):
            self.send_response(200)
            self.send_header("Content-Type", "text/csv; charset=utf-8")
            self.end_headers()
            self.wfile.write(b"a,b\n1,2\n")
        elif self.path.startswith("/slow"):
            self.send_response(200)
            self.end_headers()
            time.sleep(3)
        else:
            super().do_GET()

    def end_headers(self):
        path = self.translate_path(self.path)
        if self.etag and os.path.isfile(path):
            with open(path, "rb") as file:
                self.send_header("ETag", f'"{hashlib.md5(file.read()).hexdigest()}"')
        super().end_headers()

    def log_message(self, *_):
        """Nothing."""


@contextlib.contextmanager
def serving(folder, etag=True):
    """The address of a server of the files in a folder."""
    kind = type("Kind", (Handler,), {"etag": etag})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *args: kind(*args, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def s3() -> Iterator[dict[str, str]]:
    """An s3 service without buckets: the environment in which clients find it.  moto is in the check lock alone."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "hush", "AWS_DEFAULT_REGION": "us-east-1"}
    try:
        yield {**keys, "AWS_ENDPOINT_URL": address, "MLFLOW_S3_ENDPOINT_URL": address}
    finally:
        server.stop()


def s3_client(environment: dict[str, str]):
    """boto3's client of such a service."""
    import boto3

    names = {"aws_access_key_id": "AWS_ACCESS_KEY_ID", "aws_secret_access_key": "AWS_SECRET_ACCESS_KEY"}
    names |= {"region_name": "AWS_DEFAULT_REGION", "endpoint_url": "AWS_ENDPOINT_URL"}
    return boto3.client("s3", **{option: environment[name] for option, name in names.items()})
