"""Processes and jobs."""

from __future__ import annotations

import re
from typing import ClassVar

import orjson
from flask import Response, request

from gis.access.identity import caller
from gis.api import errors, jobs, observations, pages
from gis.api import process as served
from gis.api.adapt import processes
from gis.api.forms import form_of
from gis.api.routes.blueprint import asked, ogc, run, served_api
from gis.api.serialize import json_bytes
from gis.errors import InputError, NotFound

pages.MORE["form_of"] = form_of


class NoSuchOutput(InputError):
    """An output is asked for that the process does not have."""

    more: ClassVar[dict] = {"type": errors.PROCESSES + "no-such-output"}


class NotReady(NotFound):
    """The result of a job that still waits or runs."""

    more: ClassVar[dict] = {"type": errors.PROCESSES + "result-not-ready"}


class NotAvailable(NotFound):
    """The result of a job that was dismissed."""

    more: ClassVar[dict] = {"type": errors.PROCESSES + "result-not-available"}


@ogc.get("/processes")
def process_list() -> Response:
    return run(processes.describe_processes, formats=("json", "html"))


@ogc.get("/processes/<name>")
def process_description(name: str) -> Response:
    served.found(name, caller.get().role)
    return run(processes.describe_processes, name, formats=("json", "html"))


@ogc.post("/processes/<name>/execution")
def execute(name: str) -> Response:
    """Run a process now, or queue it (`Prefer: respond-async`). pygeoapi's own tells the text of any exception to the caller."""
    identity = caller.get()
    process = served.found(name, identity.role)
    try:
        body = orjson.loads(request.get_data() or b"{}")
    except orjson.JSONDecodeError:
        raise InputError("the body is not JSON", where="body") from None
    if not isinstance(body, dict):
        raise InputError("the body is no object", where="body", remedy='Send {"inputs": {…}}')
    if body.get("subscriber"):
        raise InputError("callbacks are not made", where="subscriber", remedy="Ask for the job's state instead")
    if body.get("response", "raw") not in ("raw", "document"):
        raise InputError("response is raw or document", where="response")
    _require_outputs(body.get("outputs"))
    inputs = served.checked(process, body.get("inputs", {}))
    if "respond-async" in request.headers.get("Prefer", ""):
        return _queued(process.id, inputs, identity)
    answer = served.run(process, inputs, identity)
    document = {served.OUTPUT: answer} if body.get("response") == "document" else answer
    return Response(json_bytes(document), content_type="application/json", headers={"Cache-Control": "private, no-store"})


def _queued(process_id: str, inputs, identity) -> Response:
    given = inputs.model_dump(mode="json", exclude_unset=True)
    served.require_whole(served.found(process_id, identity.role), identity, given)
    job_id = jobs.submit(process_id, given, identity)
    url = f"{served_api().base_url}/jobs/{job_id}"
    status = {
        "jobID": job_id,
        "processID": process_id,
        "type": "process",
        "status": "accepted",
        "links": [{"rel": "monitor", "type": "application/json", "href": url}],
    }
    return Response(
        json_bytes(status), 201, content_type="application/json", headers={"Location": url, "Preference-Applied": "respond-async"}
    )


def _require_outputs(outputs: object) -> None:
    """Raises InputError where another output than the one there is, or another way of it than by value, is asked for."""
    if outputs is None:
        return
    if not isinstance(outputs, dict) or set(outputs) - {served.OUTPUT}:
        raise NoSuchOutput(f"the one output is {served.OUTPUT}", where="outputs", remedy="Leave outputs out")
    wanted = outputs.get(served.OUTPUT) or {}
    if not isinstance(wanted, dict) or wanted.get("transmissionMode", "value") != "value":
        raise InputError("the output is given by value", where="outputs", remedy="Leave outputs out")


@ogc.get("/jobs")
def job_list() -> Response:
    """The caller's jobs, newest first (OGC 18-062r2, 11.2)."""
    token = jobs.sought.set(_sought())
    try:
        return _titled(run(processes.get_jobs, formats=("json", "html")))
    finally:
        jobs.sought.reset(token)


def _sought() -> jobs.Sought:
    """Which jobs the request wants. Raises InputError."""
    given = request.args
    if unknown := set(given) - set(_JOBS_TAKE):
        raise InputError(f"unknown parameter {min(unknown)[:60]!r}", remedy="One of " + ", ".join(_JOBS_TAKE))
    states = given["status"].split(",") if "status" in given else None
    if wrong := [one for one in states or () if one not in _STATES]:
        raise InputError(f"there is no status {wrong[0][:40]!r}", where="status", remedy="One of " + ", ".join(_STATES))
    if "process" not in given.get("type", "process").split(","):
        states = []
    made = observations.period(given.get("datetime"))
    names = given["processID"].split(",")[:100] if "processID" in given else None
    return jobs.Sought(names, states, made.first, made.after, _seconds("minDuration"), _seconds("maxDuration"))


def _seconds(name: str) -> float | None:
    text = request.args.get(name)
    if text is not None and not re.fullmatch(r"[0-9]{1,9}", text):
        raise InputError(f"{name} is a number of seconds", where=name)
    return None if text is None else float(text)


@ogc.get("/jobs/<job_id>")
def job(job_id: str) -> Response:
    served_api().manager.get_job(job_id)  # raises what says that there is none
    return _titled(run(processes.get_jobs, job_id, formats=("json", "html")))


_TITLE = re.compile(rb"Results of job (?:None|[0-9a-f-]{36}) as application/json")
_NOT_YET = re.compile(rb',"(?:started|finished|message)":null')
_JOBS_TAKE = ("f", "lang", "limit", "offset", "type", "processID", "status", "datetime", "minDuration", "maxDuration")
_STATES = ("accepted", "running", "successful", "failed", "dismissed")


def _titled(response: Response) -> Response:
    """pygeoapi titles the link to a result in English whatever the language, and says null of what is not yet."""
    title = "任务结果（JSON）" if pages.language_of(asked(("json", "html")).locale) == "zh" else "Result of the job as JSON"
    response.set_data(_NOT_YET.sub(b"", _TITLE.sub(title.encode(), response.get_data())))
    return response


@ogc.delete("/jobs/<job_id>")
def dismiss(job_id: str) -> Response:
    served_api().manager.get_job(job_id)
    response = run(processes.delete_job, job_id, formats=("json", "html"))
    if response.status_code == 200:  # pygeoapi sends no headers at all
        response.headers["Content-Type"] = "application/json"
    return response


@ogc.get("/jobs/<job_id>/results")
def job_result(job_id: str) -> Response:
    """The answer of a finished job, as JSON (pygeoapi's own answers a page where no format is asked for)."""
    manager = served_api().manager
    found = manager.get_job(job_id)
    if found["status"] in ("accepted", "running"):
        raise NotReady("the result is not ready")
    if found["status"] == "failed":
        error = found["error"] or {}
        raise InputError(error.get("what", "the job failed"), where=error.get("where", ""), remedy=error.get("remedy", ""))
    if found["status"] == "dismissed":
        raise NotAvailable("the job was dismissed")
    return Response(json_bytes(manager.get_job_result(job_id)[1]), content_type="application/json")
