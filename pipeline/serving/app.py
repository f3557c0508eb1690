"""The routes of a server: MLflow's scoring contract, and what those need who run it."""

from __future__ import annotations

import asyncio
import hmac
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version

import pyarrow as pa
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from pipeline.child import Refused
from pipeline.config import ServeParams
from pipeline.serving import describing, forms, page, recording, replies
from pipeline.serving.counting import TYPE, Counts
from pipeline.serving.pool import Asked, Busy, Generation
from pipeline.serving.process import Died
from pipeline.serving.recording import Recorder

ID = re.compile(r"[\x21-\x7e]{1,128}")
LARGE = 100_000  # bytes of a body that is read beside the event loop, which would stand still meanwhile
CODES = {400: "BAD_REQUEST", 401: "UNAUTHENTICATED", 404: "ENDPOINT_NOT_FOUND", 413: "BAD_REQUEST", 422: "INVALID_PARAMETER_VALUE"}


class Problem(Exception):
    """A request that gets no answer: the HTTP status, and why."""

    def __init__(self, status: int, text: str, **headers: str) -> None:
        super().__init__(text)
        self.status, self.text, self.headers = status, text, headers


@dataclass
class Served:
    """What the routes share; `generation` is replaced when another version is promoted."""

    params: ServeParams
    key: str | None = None
    """What a request must show, where it must."""
    recorder: Recorder | None = None
    generation: Generation = field(init=False)

    def __post_init__(self) -> None:
        self.counts = Counts(self.state)

    def answered(self, together: Sequence[Asked], rows: pa.Table, answer: pa.Table) -> None:
        """Remember rows that a generation of this server answered together."""
        about = together[0].about[0]
        self.counts.answered(answer, len(together), classes=bool(about.classes))
        if self.recorder:
            requests = [one.about[1] for one in together]
            spans = [range(one.first, one.first + len(one.table)) for one in together]
            self.recorder.add(recording.Entry(about, requests, spans, rows, answer, time.time_ns()))

    def state(self) -> Iterator[tuple[str, str, dict[str, str], float]]:
        """See `Counts`."""
        generation = self.generation
        yield "pipeline_model", "The model that answers.", {"model": generation.about.name, "version": generation.about.version}, 1
        yield "pipeline_waiting_requests", "Requests that wait for the model.", {}, len(generation.waiting)
        yield "pipeline_ready_processes", "Processes of the model that can answer.", {}, generation.ready
        yield "pipeline_process_restarts_total", "Processes of the model that were replaced.", {}, generation.restarts
        if self.recorder:
            log = self.recorder.log
            yield "pipeline_log_rows_total", "Rows that the inference log has written.", {}, log.rows
            yield "pipeline_log_bytes_total", "Bytes that the inference log has written.", {}, log.bytes
            yield "pipeline_log_waiting_rows", "Rows that wait for the disk.", {}, log.waiting
            yield "pipeline_log_lost_rows_total", "Rows that were answered and could not be kept.", {}, self.recorder.lost
            yield "pipeline_log_removed_total", "Segments of the inference log removed for its limits.", {}, log.removed
            yield "pipeline_log_failing", "1 where the disk takes nothing.", {}, float(log.failing is not None)


def build(served: Served) -> FastAPI:
    """The application over `served`."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    limit = int(served.params.body_mb * 1e6)

    async def invocations(request: Request) -> Response:
        started, arrived = time.perf_counter(), time.time_ns()
        given = request.headers.get("x-request-id", "")
        asked = recording.Request(given if ID.fullmatch(given) else uuid.uuid4().hex, arrived)
        headers = {"X-Request-ID": asked.id}
        try:
            _authorized(request, served.key)
            status, content, version = await _answer(request, asked, served, limit)
            headers["X-Model-Version"] = version
        except Problem as problem:
            status, content = problem.status, replies.problem(_code(problem.status), problem.text)
            headers |= {name.replace("_", "-"): value for name, value in problem.headers.items()}
        except ClientDisconnect:  # nobody hears this
            status, content = 499, b""
        served.counts.requests.labels(str(status)).inc()
        served.counts.seconds.observe(time.perf_counter() - started)
        return Response(content, status, headers, media_type="application/json")

    async def ping(_: Request) -> Response:
        return Response("\n", 200 if served.generation.ready else 503, media_type="application/json")

    async def health(_: Request) -> Response:
        generation, log = served.generation, served.recorder.log if served.recorder else None
        about = {"model": generation.about.name, "version": generation.about.version, "processes": generation.ready}
        troubles = [text for text in (generation.failure, (log and log.failing) or "") if text]
        fine = generation.ready and not (served.recorder and served.recorder.full)
        status = "ok" if fine and not troubles else "degraded" if fine else "failing"
        return JSONResponse({"status": status, **about, **({"trouble": troubles} if troubles else {})}, 200 if fine else 503)

    async def mlflow_version(_: Request) -> Response:
        return Response(version("mlflow"), media_type="application/json")

    async def metrics(request: Request) -> Response:
        _authorized(request, served.key)
        return Response(served.counts.page(), media_type=TYPE)

    async def model(request: Request) -> Response:
        _authorized(request, served.key)
        about = served.generation.about
        told = {"name": about.name, "version": about.version, "task": about.task, "classes": about.classes, "columns": about.columns}
        return JSONResponse(told | {"kinds": dict(about.kinds), "outputs": dict(about.outputs), "whole": about.whole})

    async def openapi(_: Request) -> Response:
        limits = {"megabytes": served.params.body_mb, "seconds": served.params.timeout}
        return JSONResponse(describing.openapi(served.generation.about, key=bool(served.key), **limits))

    async def docs(_: Request) -> Response:
        return HTMLResponse(page.page(served.generation.about, key=bool(served.key)))

    async def problem(_: Request, error: Exception) -> Response:
        assert isinstance(error, Problem | HTTPException)
        if isinstance(error, Problem):
            return Response(replies.problem(_code(error.status), error.text), error.status, error.headers, media_type="application/json")
        told = replies.problem(_code(error.status_code), str(error.detail))
        return Response(told, error.status_code, error.headers, media_type="application/json")

    app.add_route("/invocations", invocations, ["POST"])  # first: routes are tried in their order
    for path, route in {"/ping": ping, "/health": health, "/version": mlflow_version, "/metrics": metrics, "/model": model}.items():
        app.add_route(path, route, ["GET"])
    for path, route in {"/openapi.json": openapi, "/docs": docs, "/": docs}.items():
        app.add_route(path, route, ["GET"])
    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(HTTPException, problem)
    return app


async def _answer(request: Request, asked: recording.Request, served: Served, limit: int) -> tuple[int, bytes, str]:
    """Status and body of the answer, and the version that gave it."""
    body = await _body(request, limit, served.params.timeout)
    recorder = served.recorder
    if recorder and recorder.full and served.params.unlogged == "refuse":
        raise Problem(503, f"the inference log takes nothing more: {recorder.log.failing or 'the disk is too slow'}", Retry_After="10")
    with served.generation as generation:
        about, large = generation.about, len(body) > LARGE
        read = (body, request.headers.get("content-type"), about, served.params.keep)
        try:
            rows = await asyncio.to_thread(forms.table, *read) if large else forms.table(*read)
        except forms.Unreadable as error:
            raise Problem(error.status, error.text) from None
        if not len(rows):
            return 200, replies.NOTHING, about.version
        try:
            async with asyncio.timeout(served.params.timeout):
                answer = await generation.ask(rows, (about, asked))
        except Refused as refused:
            raise Problem(422, str(refused)) from None
        except Busy as busy:
            raise Problem(503, str(busy), Retry_After="1") from None
        except Died as died:
            raise Problem(500, f"no answer: {died}") from None
        except TimeoutError:
            raise Problem(504, f"no answer within {served.params.timeout:g} s") from None
    content = await asyncio.to_thread(replies.predictions, answer) if large else replies.predictions(answer)
    if "refused" in answer.column_names and not answer["refused"].null_count:
        return 422, replies.refusal(answer), about.version
    return 200, content, about.version


async def _body(request: Request, limit: int, seconds: float) -> bytes:
    """The whole body; one that is too large is read to its end, so that the answer is heard, and not kept."""
    parts, size = [], 0
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                size += len(part)
                if size <= limit:
                    parts.append(part)
    except TimeoutError:
        told = f"the body is larger than {limit / 1e6:g} MB" if size > limit else f"the body did not come within {seconds:g} s"
        raise Problem(413 if size > limit else 408, told, Connection="close") from None
    if size > limit:
        raise Problem(413, f"the body has {size / 1e6:.3g} MB, at most {limit / 1e6:g} MB are taken: send fewer rows at once")
    return b"".join(parts)


def _authorized(request: Request, key: str | None) -> None:
    if not key:
        return
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    shown = token.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")
    if not hmac.compare_digest(shown.encode(), key.encode()):
        raise Problem(401, "expected the server's key as `Authorization: Bearer KEY` or `X-API-Key: KEY`", WWW_Authenticate="Bearer")


def _code(status: int) -> str:
    """MLflow's name of an error."""
    return CODES.get(status, "BAD_REQUEST" if status < 500 else "TEMPORARILY_UNAVAILABLE" if status in (503, 504) else "INTERNAL_ERROR")
