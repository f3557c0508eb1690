"""`pipeline predict`, `serve`, `export`: a packaged model's answers."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import click

from pipeline import paths, resources
from pipeline.config import ServeParams
from pipeline.errors import UserError
from pipeline.params_file import load
from pipeline.terminal.help import Command

log = logging.getLogger("pipeline")


@click.command(cls=Command, short_help="Write the model's answers for the rows of a file.")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path, allow_dash=True), help="A new .parquet, .csv or .jsonl; else CSV is printed.")
@click.option("--model", default=str(paths.PACKAGE), show_default=True, metavar="PACKAGE", help="Its folder, or models:/NAME@ALIAS.")
@click.option("--keep", multiple=True, metavar="COLUMN", help="A column of FILE to stand before the answers; several times for several.")
@click.option("--force", is_flag=True, help="Replace the file that is to be written.")
@click.option("--stdin", is_flag=True, help="Answer rows as they come in (JSON objects, or CSV below a header), a JSON object a line.")
@click.option("--url", metavar="URL", help="Ask the server there, which `pipeline serve` has started, instead of a package.")
def predict(file: Path | None, out: Path | None, model: str, keep: tuple[str, ...], force: bool, stdin: bool, url: str | None) -> None:
    """Write what a model package, or a server, answers for each row of FILE, a table of any size or a folder of its parts, in its order.

    Examples: pipeline predict rows.csv -o answers.parquet --keep id; tail -f rows.jsonl | pipeline predict --stdin;
    pipeline predict rows.csv --url http://127.0.0.1:8000
    """
    from pipeline.batch import predicting

    if stdin == (file is not None) or (stdin and out):
        raise UserError("predict: expected either FILE, perhaps with -o, or --stdin, which answers on standard output")
    if url is not None and not url.startswith(("http://", "https://")):
        raise UserError(f"predict --url: expected http://HOST:PORT or https://..., got {url}")
    model = url or model
    if file is None:
        done = predicting.stream(sys.stdin.buffer, sys.stdout.buffer, model=model, keep=keep)
    else:
        params = load(paths.PARAMS) if paths.PARAMS.exists() else None
        out = None if out == Path("-") else out
        with resources.limited(params.memory if params else "auto"):
            data = params.section("data") if params else None
            csv, series = (data.csv, data.series) if data else (None, None)
            done = predicting.predict(file, out, model=model, keep=keep, force=force, csv=csv, series=series)
    log.info("%s, %s", done, out or "standard output")


@click.command(cls=Command, short_help="Write the model's network as ONNX.")
@click.argument("out", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--model", default=str(paths.PACKAGE), show_default=True, metavar="PACKAGE", help="Its folder, or models:/NAME@ALIAS.")
@click.option("--force", is_flag=True, help="Replace the file that is to be written.")
def export(out: Path, model: str, force: bool) -> None:
    """Write a model package's network as OUT.onnx, which answers as the package does or is not written.

    Examples: pipeline export visits.onnx; pipeline export visits.onnx --model models:/visits@champion
    """
    from pipeline import packaging
    from pipeline.exporting import writing

    with packaging.opened(model) as package:
        log.info("%s", writing.onnx(package.folder, out, force=force))


@click.command(cls=Command, short_help="Answer rows over HTTP, and remember every answer.")
@click.option("--model", metavar="PACKAGE", help="Its folder, or models:/NAME@ALIAS; by default the champion of params.yaml.")
@click.option("--host", help="Address to listen on; 127.0.0.1, unless serve.host says another.")
@click.option("--port", type=click.IntRange(0, 65535), help="8000, unless serve.port says another; 0 takes a free one.")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes of the model; 1, unless serve.workers says more.")
@click.option("--log", "log_folder", type=click.Path(path_type=Path, file_okay=False), help="Folder of the inference log.")
@click.option("--no-log", is_flag=True, help="Remember nothing of requests and answers.")
def serve(model: str | None, host: str | None, port: int | None, workers: int | None, log_folder: Path | None, no_log: bool) -> None:
    """Answer rows over HTTP as MLflow's servers do, follow promotions, and remember every answer for monitoring.

    With PIPELINE_API_KEY set, requests must show that key.  SIGTERM and Ctrl-C let it answer what has come, then stop it; SIGHUP has it
    look for a promotion at once.

    Examples: pipeline serve; pipeline serve --model models:/visits/4 --port 9000
    """
    from pipeline import packaging
    from pipeline.serving import running

    if no_log and log_folder:
        raise UserError("serve: expected --log FOLDER or --no-log, got both")
    params = load(paths.PARAMS) if paths.PARAMS.exists() else None
    if model is None:
        if params is None:
            raise UserError(f"serve: no {paths.PARAMS} here that names a model: say --model PACKAGE")
        register = params.section("register")
        model = f"{packaging.REGISTERED}{register.name}@{register.alias}"
    given = {key: value for key, value in {"host": host, "port": port, "workers": workers}.items() if value is not None}
    settings = (params.serve if params else ServeParams()).model_copy(update=given)
    folder = None if no_log else log_folder or paths.inference_log(packaging.reference(model)[0])

    def started(address: str, served: Any, seconds: float) -> None:
        about = served.generation.about
        kept = f"inference log in {folder}" if folder else "no inference log"
        log.info("%s, version %s, answers at %s after %.1f s; %s", about.name, about.version, address, seconds, kept)

    running.serve(model, settings, inference_log=folder, started=started)
