"""One's own account (`/account`): who one is here, one's password, sessions; and the audit for the auditor (`/audit`)."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import secrets
from collections.abc import Iterable
from urllib.parse import urlencode

from flask import Blueprint, Response, g, request

from gis.access import audit, ledger, limits, lookup, passwords
from gis.access.identity import Identity, caller
from gis.access.operator import AUDIT, Operator
from gis.api import pages
from gis.api.errors import wants_page
from gis.api.serialize import json_bytes
from gis.api.visit import here
from gis.catalog.read import catalog
from gis.errors import AccessDenied, InputError, NotFound

account = Blueprint("account", __name__)

LARGEST_FORM = 8192
LARGEST_PAGE = 10_000
_FILTERS = ("user", "layer", "action", "since", "until", "bbox", "before", "limit", "f")
_AREAS_TAKE = ("user", "layer", "since", "above", "f")
_UNSAFE = ("=", "+", "-", "@", "\t", "\r")


def _json(value, status: int = 200) -> Response:
    return Response(json_bytes(value), status, content_type="application/json", headers={"Cache-Control": "no-store"})


# --- one's own account ------------------------------------------------------------------------------------------------


@account.get("/account")
def about() -> Response:
    """Who asks: name, role, department, the last log-in, when the password ends, what he may ask at most."""
    identity = _someone()
    allowed = limits.allowance(identity)
    found = lookup.about(identity.user) or {"user": identity.user, "role": identity.role, "department": identity.department}
    found["limits"] = {name: getattr(allowed, name) or None for name in ("rate_per_s", "at_once", "heavy_at_once", "file_rows")}
    return _page("account_about.html", found) if wants_page() else _json(found)


def _someone() -> Identity:
    identity = caller.get()
    if identity.is_anonymous:
        raise AccessDenied("Nobody is logged in", remedy="Log in with name and password, or with a key", anonymous=True)
    return identity


@account.get("/account/password")
def password_page() -> Response:
    """The form by which a password is changed; `user` fills in the name."""
    return _form(user=request.args.get("user", "")[:64])


def _form(status: int = 200, **data) -> Response:
    return _page("account.html", {"done": "", "user": "", "fault": None} | data, status)


def _page(template: str, data: dict, status: int = 200) -> Response:
    language = pages.language_of(request.args.get("lang") or request.accept_languages.best_match(("zh", "en"), "zh"))
    content = pages.render(template, language, site=g.site, base_url=g.base_url, data=data | {"links": []})
    return Response(content, status, mimetype="text/html", headers={"Cache-Control": "no-store"})


@account.post("/account/password")
def change_password() -> Response:
    """Changes the password of who knows the old one: {user, old, new}, as JSON or as a form. Every session of his ends."""
    given = _given("user", "old", "new")
    try:
        lookup.change_password(given["user"], given["old"], given["new"], here().address)
    except (AccessDenied, InputError) as error:
        if not wants_page():
            raise
        # The form again, with what was wrong; no 401, which would make the browser ask for a password by itself.
        return _form(400, user=given["user"], fault=error)
    return _form(done="changed") if wants_page() else Response(status=204)


def _given(*names: str) -> dict[str, str]:
    if (request.content_length or 0) > LARGEST_FORM:
        raise InputError(f"the body is larger than {LARGEST_FORM} bytes")
    if request.is_json:
        try:
            given = json.loads(request.get_data())
        except (ValueError, RecursionError):
            raise InputError("the body is no JSON") from None
    else:
        given = request.form.to_dict()
    if not isinstance(given, dict) or not all(isinstance(given.get(name), str) for name in names):
        raise InputError("the body lacks something", remedy="It has the texts " + ", ".join(names))
    if any("\0" in given[name] or not _is_text(given[name]) or len(given[name]) > passwords.LONGEST for name in names):
        raise InputError("the body holds what is no name or password")
    return {name: given[name] for name in names}


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@account.post("/account/session")
def begin_session() -> Response:
    """A key that lives for this session only, for who came with name and password: it ends when it is not used, or is ended."""
    identity = _someone()
    if not (request.authorization and request.authorization.type == "basic"):
        raise InputError("a session begins with name and password", remedy="Send them as Basic authorization")
    key = lookup.SESSION_PREFIX + secrets.token_urlsafe(32)
    ends = lookup.begin_session(identity.user, key, here().address)
    return _json({"session": key, "expires_at": ends, **(lookup.about(identity.user) or {})}, 201)


@account.delete("/account/session")
def end_session() -> Response:
    """Ends the session whose key was sent; it holds in no worker from now on. Raises NotFound for what is no session."""
    _someone()
    sent = request.headers.get("X-API-Key") or request.headers.get("Authorization", "").partition(" ")[2].strip()
    if not sent.startswith(lookup.SESSION_PREFIX) or not lookup.end_session(sent, here().address):
        raise NotFound("no session")
    return Response(status=204)


# --- the audit --------------------------------------------------------------------------------------------------------


def _auditor() -> Operator:
    """The auditor who asks; for anybody else there is nothing here."""
    identity = caller.get()
    if identity.role != AUDIT:
        raise NotFound("no such path")
    return Operator(identity.user, identity.role)


@account.get("/audit")
def entries() -> Response:
    """The newest rows of the audit, for the auditor: by user, layer, action, time and box; JSON, or CSV by f=csv."""
    who = _auditor()
    _require_known(_FILTERS)
    given, limit = request.args, _number("limit", 100)
    if not 1 <= limit <= LARGEST_PAGE:
        raise InputError(f"limit is 1 to {LARGEST_PAGE}", where="limit")
    found = audit.entries(
        user=given.get("user"), layer=given.get("layer"), action=given.get("action"), since=_moment("since"), until=_moment("until"),
        bbox=_box(), before=_number("before", None), limit=limit, who=who,
    )  # fmt: skip
    if given.get("f", "json") == "csv":
        return _csv(("id", "at", "user", "role", "action", "layer", "n", "detail"), found, "audit.csv")
    links = []
    if len(found) == limit:
        query = urlencode({name: value for name, value in given.items() if name != "before"} | {"before": found[-1]["id"]})
        links.append({"rel": "next", "type": "application/json", "href": f"{here().base_url}/audit?{query}"})
    return _json({"entries": found, "numberReturned": len(found), "links": links})


@account.get("/audit/areas")
def areas() -> Response:
    """What area of which layer went to whom, for the auditor; `over` where a sensitive layer is beyond the limit."""
    who = _auditor()
    _require_known(_AREAS_TAKE)
    try:
        limit = float(request.args["above"]) if "above" in request.args else None
    except ValueError:
        raise InputError("above is a number", where="above") from None
    found = ledger.areas(
        catalog(), user=request.args.get("user"), layer=request.args.get("layer"), since=_moment("since"), limit_km2=limit, who=who
    )
    if request.args.get("f", "json") == "csv":
        names = ("user", "layer", "label", "area_km2", "placed_km2", "accesses", "features", "features_without_area", "over")
        return _csv(names, found, "areas.csv")
    return _json({"areas": found})


def _require_known(names: tuple[str, ...]) -> None:
    unknown = set(request.args) - set(names)
    if unknown:
        raise InputError(f"unknown parameter {min(unknown)[:60]!r}", remedy="One of " + ", ".join(names))
    if request.args.get("f", "json") not in ("json", "csv"):
        raise InputError("f is json or csv", where="f")


def _number(name: str, default: int | None) -> int | None:
    text = request.args.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 18):
        raise InputError(f"{name} is a number", where=name)
    return int(text)


def _moment(name: str) -> dt.datetime | None:
    """A date (its beginning, UTC) or a moment (RFC 3339)."""
    text = request.args.get(name)
    if text is None:
        return None
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"{text[:40]!r} is neither a date nor a moment", where=name, remedy="Such as 2026-01-31") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _box() -> tuple[float, float, float, float] | None:
    text = request.args.get("bbox")
    if text is None:
        return None
    try:
        box = tuple(float(part) for part in text.split(","))
    except ValueError:
        box = ()
    if len(box) != 4 or not all(-360 <= part <= 360 for part in box):
        raise InputError("bbox is west,south,east,north in degrees", where="bbox")
    return box


def _csv(names: tuple[str, ...], found: Iterable[dict], file: str) -> Response:
    """A table for a spreadsheet: UTF-8 with a mark, and nothing in it that a spreadsheet would compute."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(names)
    for one in found:
        table.writerow([_cell(one[name]) for name in names])
    headers = {"Content-Disposition": f'attachment; filename="{file}"', "Cache-Control": "no-store"}
    return Response("\ufeff" + text.getvalue(), content_type="text/csv; charset=utf-8", headers=headers)


def _cell(value):
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    if isinstance(value, dt.datetime):
        return value.isoformat()
    return f"'{value}" if isinstance(value, str) and value.startswith(_UNSAFE) else value


# --- what the OpenAPI document says of it -----------------------------------------------------------------------------


def paths() -> dict:
    """One's own account, for the document. The audit is not in it: for all but the auditor it is not there."""
    wrong = {"400": "InvalidParameter", "401": "Unauthorized"}
    responses = {status: {"$ref": f"#/components/responses/{name}"} for status, name in wrong.items()}
    answer = {"description": "The account.", "content": {"application/json": {"schema": {"type": "object"}}}}
    texts = {name: {"type": "string", "maxLength": 512} for name in ("user", "old", "new")}
    body = {"required": True, "content": {"application/json": {"schema": {"type": "object", "required": list(texts), "properties": texts}}}}

    def operation(name: str, summary: str, status: str, done: dict, **more) -> dict:
        return {"operationId": name, "summary": summary, "tags": ["account"], "responses": {status: done} | responses, **more}

    gone = {"description": "Done."}
    return {
        "/account": {"get": operation("getAccount", "Who one is here", "200", answer)},
        "/account/password": {"post": operation("changePassword", "Another password", "204", gone, requestBody=body)},
        "/account/session": {
            "post": operation("beginSession", "A key for this session, for name and password", "201", answer),
            "delete": operation("endSession", "The end of the session", "204", gone),
        },
    }
