"""The web application: pygeoapi's API on Flask, and around every request who asks, how long it takes and what goes wrong."""

from __future__ import annotations

from functools import partial

from flask import Flask, Response, current_app, g, request
from werkzeug.exceptions import RequestEntityTooLarge

from gis.api import cors, envelope, errors
from gis.api.account import account
from gis.api.configuration import configuration
from gis.api.download import download
from gis.api.front import Front
from gis.api.routes import ogc
from gis.api.served import ServedAPI
from gis.api.site import site
from gis.api.visit import LARGEST_BODY, here

_OPEN = (
    "site.live", "site.map_file", "site.viewer", "site.static_file", "site.icon", "site.figures", "site.health", "site.ready",
    "account.password_page", "account.change_password",
)  # fmt: skip
"""The same for everybody: nobody has to be looked up, so they answer while the database is away; or they look themselves."""

_STATIC = ("site.map_file", "site.viewer", "site.static_file", "site.icon")


def create_app() -> Flask:
    """The application for the settings in force. Raises DefinitionError where a layer file is wrong."""
    app = Flask("onemap", static_folder=None)
    app.url_map.strict_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY
    envelope.require_settings()
    api = ServedAPI(configuration())
    app.extensions["onemap_api"] = api
    app.register_blueprint(ogc)
    app.register_blueprint(download)
    app.register_blueprint(site)
    app.register_blueprint(account)
    app.before_request(_begin)
    app.after_request(_finish)
    app.register_error_handler(Exception, errors.answer)
    app.wsgi_app = Front(app.wsgi_app, api)  # type: ignore[method-assign]
    return app


def _begin() -> Response | None:
    """Before anything else: who asks, and what no path has to bear; or why the front could not answer (gis/api/front.py)."""
    visit, api = here(), current_app.extensions["onemap_api"]
    g.request_id, g.site, g.base_url = visit.id, api.tpl_config["metadata"], visit.base_url
    if visit.refused is not None:
        raise visit.refused
    granted = cors.preflight(visit.method, visit.header("ORIGIN"), visit.header("ACCESS_CONTROL_REQUEST_METHOD"))
    if granted is not None:
        return Response(status=204, headers=granted)
    cors.require_own(visit)
    if request.endpoint in _OPEN:
        visit.require_wellformed()
    else:
        envelope.admit(visit)
    if visit.header("TRANSFER_ENCODING") and len(request.get_data()) >= LARGEST_BODY:  # the framework cuts it off there in silence
        raise RequestEntityTooLarge
    return None


def _finish(response: Response) -> Response:
    """After everything: headers that protect, compression, one line in the log, the figures."""
    visit, headers = here(), response.headers
    envelope.note_refusal(visit, response.status_code)
    envelope.protect(visit, headers, is_page=response.mimetype == "text/html", is_file=request.endpoint in _STATIC)
    if envelope.is_compressed(visit, response.status_code, headers):
        response.direct_passthrough = False
        response.set_data(envelope.compressed(response.get_data(), headers))
    if response.is_streamed:
        visit.streams = True
        response.direct_passthrough = response.direct_passthrough and visit.ticket < 0  # nobody is told when what passes through ends
        response.call_on_close(partial(envelope.dismiss, visit))
    envelope.account(visit, request.url_rule.rule if request.url_rule else None, response.status_code)
    return response
